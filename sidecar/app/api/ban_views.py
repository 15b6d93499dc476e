"""Searches the bans: each search is a frozen list of networks, of which a client reads parts by number."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from dataclasses import dataclass

from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.report.explain_address import bans_naming, naming
from sidecar.bans.folding import Folding
from sidecar.bans.table import BanTable
from sidecar.model import Seconds
from sidecar.network import Network
from sidecar.threads import run_uncancellable

# Views kept, the last used ones: one of 300,000 networks takes 2.4 MB.
_MOST_VIEWS = 4
# The same search shares a view for so long.
_FRESH: Seconds = 5.0
_ACCOUNT = "account:"
_PART_OF_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){0,2}\.", re.ASCII)
_PART_OF_IPV6 = re.compile(r"[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6}:{1,2}", re.ASCII | re.IGNORECASE)


@dataclass
class View:
    """The networks that a search found, newest first, and which bans were inside wider ones then."""

    name: str
    query: tuple[str, str]
    networks: list[Network]
    folding: Folding
    made: Seconds
    used: Seconds


class BanViews:
    """Makes and keeps views."""

    def __init__(self, table: BanTable, commit_queue: CommitQueue) -> None:
        self._table, self._commit_queue = table, commit_queue
        self._views: dict[str, View] = {}
        self._turn, self._slow = asyncio.Lock(), asyncio.Lock()

    async def view(self, name: str, query: str, jail: str) -> View:
        """The view of this name, or a new one of this search if it is not kept any more."""
        now, asked = time.monotonic(), (query, jail)
        if (known := self._known(name, asked, now)) is not None:
            return known
        # The search of accounts reads the database: lists must not wait for it.
        async with self._slow if _is_account(query) else self._turn:
            kept = self._known(name, asked, time.monotonic())
            if kept is None:
                kept = await self._made(query, jail)
                while len(self._views) >= _MOST_VIEWS:
                    del self._views[min(self._views, key=lambda key: self._views[key].used)]
                self._views[kept.name] = kept
            return kept

    def _known(self, name: str, asked: tuple[str, str], now: Seconds) -> View | None:
        """The view of this name, or a fresh one of the same search."""
        named = self._views.get(name)
        fresh = (v for v in self._views.values() if v.query == asked and now < v.made + _FRESH)
        found = named if named is not None and named.query == asked else next(fresh, None)
        if found is not None:
            found.used = now
        return found

    async def _made(self, query: str, jail: str) -> View:
        # Copied at once: the table changes while a thread reads the copy.
        networks = list(self._table.networks())
        folding = await self.folding(networks)
        found = await self._found(query.strip(), networks, folding)
        if jail:
            found = await run_uncancellable(self._table.matching, found, lambda name, _: name == jail)
        now = time.monotonic()
        found.reverse()
        return View(secrets.token_hex(8), (query, jail), found, folding, now, now)

    async def folding(self, networks: list[Network]) -> Folding:
        """Which of these banned networks are inside wider ones."""

        def made() -> Folding:
            enforced = self._table.refused_among(networks)
            return Folding(lambda: enforced)

        return await run_uncancellable(made)

    async def _found(self, query: str, networks: list[Network], folding: Folding) -> list[Network]:
        """The networks that a query means, oldest first."""
        if not query:
            return await run_uncancellable(folding.unfolded, networks, self._table.stands)
        if (inside := _meant(query)) is not None:
            around = [ban.network for ban in self._table.over(inside)] if inside.length else []
            return [*dict.fromkeys([*await run_uncancellable(inside.those_inside, networks), *around])]
        if _is_account(query):
            account = query.removeprefix(_ACCOUNT).strip()
            return await self._of_account(account) if account else []
        words = query.casefold().split()

        def wanted(jail: str, reason: str) -> bool:
            text = f"{jail} {reason}".casefold()
            return all(word in text for word in words)

        return await run_uncancellable(self._table.matching, networks, wanted)

    async def _of_account(self, account: str) -> list[Network]:
        """The networks with a ban whose evidence names this account."""
        found: dict[Network, None] = {}
        async for bans in bans_naming(self._commit_queue, naming(account)):
            found.update((ban.network, None) for ban in bans)
        return list(found)


def _is_account(query: str) -> bool:
    return query.strip().startswith(_ACCOUNT) or "@" in query


def _meant(query: str) -> Network | None:
    """The network that a query names, whole or by the beginning of its addresses; None for other text."""
    try:
        return Network.around(query)
    except ValueError:
        pass
    try:
        if _PART_OF_IPV4.fullmatch(query):
            parts = query.rstrip(".").split(".")
            return Network.around(".".join([*parts, *["0"] * (4 - len(parts))]) + f"/{8 * len(parts)}")
        if _PART_OF_IPV6.fullmatch(query):
            parts = query.rstrip(":").split(":")
            return Network.around(":".join(parts) + ("::" if len(parts) < 8 else "") + f"/{16 * len(parts)}")
    except ValueError:
        pass
    return None
