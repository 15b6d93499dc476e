"""Counts what is different: the accounts or recipients that one client tried, each once."""

from __future__ import annotations

from sidecar.model import Instant, Seconds
from sidecar.network import Network

_MOST = 200_000


class Distinct:
    """Values that each network has tried within `findtime`."""

    def __init__(self, findtime: Seconds) -> None:
        self._findtime = findtime
        self._seen: dict[tuple[Network, int], Instant] = {}

    def new(self, network: Network, value: str, at: Instant) -> bool:
        """Whether the network has not tried this one before. A value counts anew when `findtime` is over."""
        key = network, hash(value.casefold())
        before = self._seen.get(key)
        if before is not None and abs(at - before) < self._findtime:
            return False
        if len(self._seen) >= _MOST:
            self._seen.clear()
        self._seen[key] = at
        return True
