"""The allow list: networks that an administrator exempted from bans until a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.model import LATEST, Instant, Seconds
from sidecar.network import Network
from sidecar.store.database import Allowed


class AllowList:
    """The single owner of the allowed networks. The caller applies the protection after a change."""

    def __init__(self, allowed: Iterable[Allowed], commit_queue: CommitQueue) -> None:
        self._allowed = {one.network: one for one in allowed}
        # Version and prefix length of all networks that were ever allowed; there are few.
        self._lengths = {(network[0], network[-1]) for network in self._allowed}
        self._commit_queue = commit_queue
        self._watching: list[Callable[[Network, Allowed | None], None]] = []

    def watch(self, watcher: Callable[[Network, Allowed | None], None]) -> None:
        """Tell of each network that is allowed, or (None) no longer."""
        self._watching.append(watcher)

    def __iter__(self) -> Iterator[Allowed]:
        return iter(self._allowed.values())

    def allow(self, *entries: Allowed) -> None:
        """Allow networks, and save them."""
        self._allowed |= {one.network: one for one in entries}
        self._lengths |= {(one.network[0], one.network[-1]) for one in entries}
        self._commit_queue.add(entries)
        for watcher in self._watching:
            for one in entries:
                watcher(one.network, one)

    def end(self, network: Network) -> bool:
        """Remove exactly this network. Returns whether it was allowed."""
        known = self._allowed.pop(network, None) is not None
        if known:
            self._commit_queue.add([Allowed(network, 0.0, 0.0, "ended")])
            for watcher in self._watching:
                watcher(network, None)
        return known

    def expire(self, now: Instant) -> bool:
        """Remove expired networks. Returns whether there were any. The database filters by time itself."""
        over = [n for n, one in self._allowed.items() if one.until is not None and one.until <= now]
        for network in over:
            del self._allowed[network]
        return bool(over)

    def shift(self, jump: Seconds) -> None:
        """The clock was set by `jump` seconds: move all ends by that."""
        for network, one in self._allowed.items():
            if one.until is not None:
                self._allowed[network] = replace(one, until=one.until + jump)

    def of(self, network: Network) -> Allowed | None:
        """The entry of exactly this network."""
        return self._allowed.get(network)

    def around(self, network: Network) -> list[Allowed]:
        """The allowed networks that contain this one or equal it."""
        lengths = (n for version, n in self._lengths if version == network[0] and n <= network[-1])
        found = (self._allowed.get(network.supernet(length)) for length in sorted(lengths))
        return [one for one in found if one is not None]


def allowed_because(allowed: Iterable[Allowed], network: Network) -> str | None:
    """Until when and why a network is allowed; None if it is not. The latest end applies."""
    around = [one for one in allowed if one.network.covers(network)]
    if not around:
        return None
    last = max(around, key=lambda one: LATEST if one.until is None else one.until)
    if last.until is None or last.until >= LATEST:
        return f"allowed: {last.reason}"
    return f"allowed until {datetime.fromtimestamp(last.until, UTC):%Y-%m-%d %H:%M:%SZ}: {last.reason}"
