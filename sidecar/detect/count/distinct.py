"""Counts distinct values: each account or recipient that a client tried counts once."""

from __future__ import annotations

from sidecar.model import Instant, Seconds
from sidecar.network import Network

_MOST = 200_000


class Distinct:
    """The values that each network tried within `findtime`."""

    def __init__(self, findtime: Seconds) -> None:
        self._findtime = findtime
        self._seen: dict[tuple[Network, int], Instant] = {}

    def new(self, network: Network, value: str, at: Instant) -> bool:
        """Whether the network tries this value for the first time within `findtime`."""
        key = network, hash(value.casefold())
        before = self._seen.get(key)
        if before is not None and abs(at - before) < self._findtime:
            return False
        if len(self._seen) >= _MOST:
            self._seen.clear()
        self._seen[key] = at
        return True
