"""Detects password spraying: one account tried from many addresses, many accounts tried from one network.

No single address fails often enough to be banned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from sidecar.model import Instant, Seconds
from sidecar.network import Network

# The number of addresses per account, and of accounts per network, within a day that count as spraying.
MANY = 10
_FEW_ADDRESSES = 3
_DAY: Seconds = 86400.0
_MOST_ACCOUNTS = 50_000
_MOST_ADDRESSES = 1000
_WIDE = {4: 24, 6: 48}


class SprayFinding(NamedTuple):
    """An account or a network, with the addresses that failed, and the number of accounts they tried."""

    subject: str
    addresses: tuple[Network, ...]
    accounts: int


class PasswordSprayDetector:
    """Failed logins of the last day by account."""

    def __init__(self) -> None:
        # In order of the last attempt, the latest last.
        self._tried: dict[str, dict[Network, Instant]] = {}

    def see(self, network: Network, account: str, at: Instant) -> int:
        """Record a failed login. Returns the number of addresses that failed for this account within a
        day."""
        account = account.casefold()
        # In order of the last attempt, the latest last.
        tried = self._tried.pop(account, {})
        tried.pop(network, None)
        tried[network] = at
        while len(tried) > _MOST_ADDRESSES or tried[next(iter(tried))] <= at - _DAY:
            del tried[next(iter(tried))]
        self._tried[account] = tried
        if len(self._tried) > _MOST_ACCOUNTS:
            del self._tried[next(iter(self._tried))]
        return len(tried)

    def attacked(self, now: Instant) -> int:
        """The number of accounts tried within a day, from many addresses within a day. Quick: takes 10 ms for
        the most accounts."""
        number = 0
        for tried in reversed(self._tried.values()):
            if next(reversed(tried.values())) <= now - _DAY:
                break
            number += len(tried) >= MANY
        return number

    def accounts(self, now: Instant) -> Iterator[SprayFinding]:
        """The accounts tried from many addresses."""
        for account, tried in self._tried.items():
            lately = tuple(n for n, at in tried.items() if at > now - _DAY)
            if len(lately) >= MANY:
                yield SprayFinding(account, lately, 1)

    def networks(self, now: Instant) -> Iterator[SprayFinding]:
        """The networks with several addresses that tried many accounts."""
        addresses: dict[Network, set[Network]] = defaultdict(set)
        accounts: dict[Network, set[str]] = defaultdict(set)
        for account, tried in self._tried.items():
            for network, at in tried.items():
                if at > now - _DAY and network.length > _WIDE[network.version]:
                    wide = network.supernet(_WIDE[network.version])
                    addresses[wide].add(network)
                    accounts[wide].add(account)
        for wide, names in accounts.items():
            if len(names) >= MANY and len(addresses[wide]) >= _FEW_ADDRESSES:
                yield SprayFinding(str(wide), tuple(sorted(addresses[wide])), len(names))
