"""Limits what one peer can do to this host: bans a minute, bans in all, and the addresses that they cover."""

from __future__ import annotations

import time
from collections.abc import Callable

from sidecar.model import Seconds
from sidecar.network import Network

# An IPv6 /64 is what one attacker has; it counts as one address.
_IPV6_UNIT = 64


class PeerQuota:
    """The bans of one peer. A ban beyond the quota waits: `admit` says whether there is room now."""

    def __init__(
        self, a_minute: int, most: int, most_addresses: int, clock: Callable[[], Seconds] = time.monotonic
    ) -> None:
        self._clock, self._at = clock, clock()
        self.limit(a_minute, most, most_addresses)
        self._room = self._burst
        self.bans, self.addresses = 0, 0

    def limit(self, a_minute: int, most: int, most_addresses: int) -> None:
        """Set the limits; what stands stays."""
        self._rate, self._burst = a_minute / 60.0, float(a_minute)
        self._most, self._most_addresses = most, most_addresses

    def admit(self, network: Network, *, at_once: bool = False) -> bool:
        """Whether a new ban of this peer is made now. `at_once`: read from what the peer decided earlier,
        which only the limits in all hold."""
        covered = addresses(network)
        if self.bans >= self._most or self.addresses + covered > self._most_addresses:
            return False
        if not at_once and not self.take():
            return False
        self.count(network)
        return True

    def count(self, network: Network) -> None:
        """A ban of the peer stands already."""
        self.bans += 1
        self.addresses += addresses(network)

    def take(self) -> bool:
        """Whether the peer may change something now, in the pace of its bans."""
        now = self._clock()
        self._room = min(self._burst, self._room + (now - self._at) * self._rate)
        self._at = now
        if self._room < 1.0:
            return False
        self._room -= 1.0
        return True

    def release(self, network: Network) -> None:
        """A ban of the peer ended."""
        self.bans -= 1
        self.addresses -= addresses(network)

    def is_full_with(self, others: int) -> bool:
        """Whether there is room for no ban, if so many others wait."""
        return self.bans + others >= self._most or self.addresses >= self._most_addresses

    @property
    def full(self) -> bool:
        """Whether the limits in all are reached."""
        return self.bans >= self._most or self.addresses >= self._most_addresses


def addresses(network: Network) -> int:
    """The addresses of an IPv4 network, the /64 of an IPv6 one."""
    if network.version == 4:
        return network.addresses
    return 1 << max(0, _IPV6_UNIT - network.length)
