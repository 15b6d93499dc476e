"""Networks with recent logins, or with mail delivered to them, and their accounts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sidecar.model import Instant, Seconds
from sidecar.network import Network

# How often an account that keeps logging in is saved again.
_WRITE_AGAIN: Seconds = 6 * 3600.0
_MOST = 200_000
# Maximum number of accounts remembered per network.
_MOST_ACCOUNTS = 200


class RecentLogins:
    """Networks with the accounts that logged in from them within `lasts` seconds."""

    def __init__(self, lasts: Seconds = 0.0) -> None:
        self.lasts = lasts
        # The most recent login is the last.
        self._logins: dict[Network, dict[str, Instant]] = {}
        # The same networks by their IPv4 /16 or IPv6 /32, so that `inside` need not search all.
        self._near: dict[bytes, set[Network]] = {}
        self._where: dict[str, Network] = {}
        self._spoilt: dict[Network, Instant] = {}

    def login(self, network: Network, account: str, at: Instant) -> bool:
        """Record a login. Returns whether it must be saved."""
        account = account.casefold()
        accounts = self._logins.pop(network, {})
        before = accounts.get(account)
        if before is None and len(accounts) >= _MOST_ACCOUNTS:
            del accounts[next(iter(accounts))]
        accounts[account] = at if before is None else max(at, before)
        self._logins[network] = accounts
        self._near.setdefault(_beginning(network), set()).add(network)
        if len(self._logins) > _MOST:
            self._drop(next(iter(self._logins)))
        self._moved(account, network)
        return before is None or at // _WRITE_AGAIN > before // _WRITE_AGAIN

    def _moved(self, account: str, network: Network) -> None:
        """Drop the previous network of an account if all its accounts log in from this one now: its address
        was probably assigned to another client."""
        before = self._where.get(account)
        self._where[account] = network
        if before is None or before == network:
            return
        left = self._logins.get(before, {})
        if len(left) > 1 and all(self._where.get(other) == network for other in left):
            self._drop(before)

    def _drop(self, network: Network) -> None:
        del self._logins[network]
        near = self._near[_beginning(network)]
        near.discard(network)
        if not near:
            del self._near[_beginning(network)]

    def is_known(self, network: Network, now: Instant) -> bool:
        """Whether an account logged in from this network recently, and the network was not marked by `spoil`
        since."""
        accounts = self._logins.get(network)
        if not accounts or self._spoilt.get(network, 0.0) > now:
            return False
        return max(accounts.values()) > now - self.lasts

    def owns(self, network: Network, account: str, now: Instant) -> bool:
        """Whether this account logged in from this network recently."""
        at = self._logins.get(network, {}).get(account.casefold())
        return at is not None and at > now - self.lasts

    def spoil(self, network: Network, until: Instant) -> None:
        """The network is not known-good until then: it tried accounts of others, or was banned."""
        if len(self._spoilt) > _MOST:
            self._spoilt.clear()
        self._spoilt[network] = until

    def accounts(self, network: Network, now: Instant) -> int:
        """How many accounts logged in from this network recently, also if it was marked by `spoil` since."""
        logins = self._logins.get(network)
        return sum(at > now - self.lasts for at in logins.values()) if logins else 0

    def networks(self) -> list[Network]:
        """All networks with a login, whether they are known-good now or not."""
        return list(self._logins)

    def inside(self, network: Network, now: Instant) -> int:
        """The number of known-good networks inside this one."""
        narrow = network[-1] >= (16 if network[0] == 4 else 32)
        known: Iterable[Network] = self._near.get(_beginning(network), ()) if narrow else self._logins
        return sum(self.is_known(one, now) for one in network.those_inside(known))

    def all(self) -> Iterator[tuple[Network, str, Instant]]:
        """Each network with each of its accounts and the time of the last login."""
        for network, accounts in self._logins.items():
            yield from ((network, account, at) for account, at in accounts.items())

    def __len__(self) -> int:
        return len(self._logins)


def _beginning(network: Network) -> bytes:
    """The IPv4 /16 or the IPv6 /32 of a network, as bytes."""
    return network[:3] if network[0] == 4 else network[:5]
