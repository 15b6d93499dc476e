"""Lists active bans in pages. No cursor, lock or snapshot is held between two pages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from itertools import islice
from typing import Any

from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.report.suspension_reasons import SuspensionReasons
from sidecar.bans.folding import Folding
from sidecar.bans.register import BanRegister
from sidecar.model import Ban, Seconds
from sidecar.network import Network
from sidecar.records import ban_record
from sidecar.threads import run_uncancellable

# Database rows per page, which take a few hundredths of a second.
_ROWS = 2000


class BanListing:
    """Returns one page at a time. Missing routes and the folding are determined once per listing, and shared
    by listings that start meanwhile."""

    def __init__(
        self,
        register: BanRegister,
        commit_queue: CommitQueue,
        enforcer: Enforcer,
        suspensions: SuspensionReasons,
    ) -> None:
        self._register, self._commit_queue = register, commit_queue
        self._enforcer, self._suspensions = enforcer, suspensions
        self._turn = asyncio.Lock()
        self._looked: Seconds = -1.0
        self._lacks: Callable[[Network], bool] = lambda _: True
        self._folding = Folding(tuple)

    async def page(
        self, jail: str | None, contains: str | None, after: int, asked: Seconds | None, *, lines: bool
    ) -> dict[str, Any]:
        """The bans after row `after`: all, of one jail, or all that cover an address. `asked` is from the
        answer with the first page. `next` is where to continue, None at the end. Without `lines` there is no
        evidence."""
        asked = time.monotonic() if asked is None else asked
        found, rest = await self._found(contains, after, lines=lines)
        lacks, folding = await self._looked_since(asked)
        why = self._suspensions.ask()

        def record(ban: Ban) -> dict[str, Any]:
            suspended = why(ban)
            folded = folding.record(ban, stands=not (ban.dry or suspended))
            return ban_record(ban, enforced=not lacks(ban.network), suspended=suspended) | folded

        bans = [record(ban) for ban in found if jail in (None, ban.jail)]
        return {"bans": bans, "next": rest, "asked": asked}

    async def folding(self) -> Folding:
        """Which bans are inside wider ones now."""
        return (await self._looked_since(time.monotonic()))[1]

    async def _found(self, contains: str | None, after: int, *, lines: bool) -> tuple[list[Ban], int | None]:
        queue, table = self._commit_queue, self._register.table
        over = table.over(Network.parse(contains)) if contains else None
        # The database holds the evidence. If it cannot be written, only memory has the newest bans.
        failed = await queue.commit() if after == 0 else queue.failing
        if over is not None:
            keys = [(ban.network, ban.jail) for ban in over]
            return (over if failed else await run_uncancellable(queue.database.bans, keys)), None
        if not failed:
            return await run_uncancellable(queue.database.page, after, _ROWS, lines=lines)
        networks = list(islice(table.networks(), after, after + _ROWS))
        bans = [ban for network in networks for ban in table.all_of(network)]
        return bans, after + _ROWS if len(networks) == _ROWS else None

    async def _looked_since(self, since: Seconds) -> tuple[Callable[[Network], bool], Folding]:
        """A function that returns whether a banned network has no route, and the folding, as of `since` or
        later."""
        async with self._turn:
            if self._looked < since:
                looked = time.monotonic()
                banned = await self._enforcer.banned_in_kernel()
                refused = list(self._register.table.refused())
                self._lacks = await run_uncancellable(_lacks, refused, banned)
                self._folding = await run_uncancellable(Folding, lambda: refused)
                self._looked = looked
            return self._lacks, self._folding


def _lacks(refused: Collection[Network], banned: Collection[Network]) -> Callable[[Network], bool]:
    if not banned:
        return lambda _: True
    return frozenset(network for network in refused if network not in banned).__contains__
