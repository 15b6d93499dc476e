"""The number of earlier bans of a network, used for growing ban times and weighted failures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sidecar.model import Instant
from sidecar.network import Network


class Earlier(NamedTuple):
    """The number of earlier bans of a network in a jail (or in all), and the start of the last one."""

    times: int = 0
    at: Instant = 0.0


NEVER = Earlier()


class History:
    """The number of bans per network and jail. Only kept for jails with growing ban times."""

    def __init__(self, known: Iterable[tuple[Network, str, int, Instant]] = ()) -> None:
        self._known: dict[Network, dict[str, Earlier]] = {}
        for network, jail, count, at in known:
            self._known.setdefault(network, {})[jail] = Earlier(count, at)

    def of(self, network: Network, jail: str, *, everywhere: bool = False) -> Earlier:
        """The earlier bans in one jail, or (`everywhere`) in all jails together."""
        jails = self._known.get(network, {})
        if not everywhere:
            return jails.get(jail, NEVER)
        return Earlier(sum(e.times for e in jails.values()), max((e.at for e in jails.values()), default=0.0))

    def add(self, network: Network, jail: str, count: int, at: Instant) -> None:
        """Record a new ban; `count` includes it."""
        self._known.setdefault(network, {})[jail] = Earlier(count, at)

    def forget(self, network: Network, jail: str) -> None:
        """Drop the bans of a network in a jail, after an administrator lifted them."""
        jails = self._known.get(network, {})
        jails.pop(jail, None)
        if not jails:
            self._known.pop(network, None)
