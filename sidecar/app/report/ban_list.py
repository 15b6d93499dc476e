"""The bans that stand, page by page: between two pages nothing is held, whoever asks and however slowly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from sidecar.app.background import run_uncancellable
from sidecar.app.bans import allow_list
from sidecar.kernel.routes import RouteKind
from sidecar.model import Ban, Seconds
from sidecar.network import Network

if TYPE_CHECKING:
    from sidecar.app.service import Service

# What one page looks at, at most: a few hundredths of a second of the database.
_ROWS = 2000


def record(ban: Ban, *, enforced: bool, suspended: str | None = None) -> dict[str, Any]:
    """A ban as the object that contract.md names for `bans --jsonl`; `enforced`: the kernel has its route;
    `suspended`: why it is not enforced for now."""
    return {
        "network": str(ban.network),
        "jail": ban.jail,
        "since": ban.at,
        "until": ban.until,
        "count": ban.times,
        "origin": ban.origin,
        "reason": ban.reason,
        "enforced": enforced and not (ban.dry or suspended),
        "suspended": suspended,
        "dry": ban.dry,
        "failures": ban.failures,
        "evidence": list(ban.evidence),
    }


class Listing:
    """Answers one page at a time. What the kernel lacks is read once for a listing, and for all that begin
    while it is read."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._turn = asyncio.Lock()
        self._looked: Seconds = -1.0
        self._lacks: Callable[[Network], bool] = lambda _: True

    async def page(
        self, jail: str | None, contains: str | None, after: int, asked: Seconds | None, *, lines: bool
    ) -> dict[str, Any]:
        """The next bans behind row `after`, of one jail, or all of those that cover an address; `asked` is
        what the first page answered. `next` is where to go on, None at the end. Without `lines` there is no
        evidence."""
        asked = time.monotonic() if asked is None else asked
        found, rest = await self._found(contains, after, lines=lines)
        lacks = await self._lacking(asked)
        why = allow_list.suspended(self._service)
        chosen = [ban for ban in found if jail in (None, ban.jail)]
        bans = [record(ban, enforced=not lacks(ban.network), suspended=why(ban)) for ban in chosen]
        return {"bans": bans, "next": rest, "asked": asked}

    async def _found(self, contains: str | None, after: int, *, lines: bool) -> tuple[list[Ban], int | None]:
        ledger, table = self._service.ledger, self._service.table
        over = table.over(Network.parse(contains)) if contains else None
        # The database holds their evidence; as long as it takes nothing, memory alone knows the newest.
        failed = await ledger.commit() if after == 0 else ledger.failing
        if over is not None:
            keys = [(ban.network, ban.jail) for ban in over]
            return (over if failed else await run_uncancellable(ledger.database.bans, keys)), None
        if not failed:
            return await run_uncancellable(ledger.database.page, after, _ROWS, lines=lines)
        networks = list(islice(table.networks(), after, after + _ROWS))
        bans = [ban for network in networks for ban in table.all_of(network)]
        return bans, after + _ROWS if len(networks) == _ROWS else None

    async def _lacking(self, since: Seconds) -> Callable[[Network], bool]:
        """Which of the banned networks have no route, as of `since` or later."""
        async with self._turn:
            if self._looked < since:
                looked = time.monotonic()
                self._lacks = await run_uncancellable(self._look, list(self._service.table.refused()))
                self._looked = looked
            return self._lacks

    def _look(self, refused: list[Network]) -> Callable[[Network], bool]:
        present = self._service.enforcer.present()
        if not present:
            return lambda _: True
        blackhole = RouteKind.BLACKHOLE
        return frozenset(n for n in refused if present.get(n) is not blackhole).__contains__
