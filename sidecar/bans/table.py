"""Who is banned: reasons per network; a network is refused as long as one reason stands."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from sidecar.model import Ban, Extended, Instant, Seconds, Unban
from sidecar.network import BITS, Network


class BanTable:
    """The bans, each keyed by (network, jail). Changes return the events that tell of them.

    `active` counts the bans of each jail.
    """

    def __init__(self, bans: Iterable[Ban] = ()) -> None:
        self._bans: dict[Network, dict[str, Ban]] = {}
        # When each ban ends, what it says of its end itself, and which it is. The two are one but where the
        # clock was set while it stood.
        self._ends: list[tuple[Instant, Instant, Network, str]] = []
        self.active: Counter[str] = Counter()
        for ban in bans:
            self._put(ban)

    def _put(self, ban: Ban) -> None:
        reasons = self._bans.get(ban.network)
        if reasons is None:
            self._bans[ban.network] = {ban.jail: ban}
            self.active[ban.jail] += 1
        else:
            self.active[ban.jail] += ban.jail not in reasons
            reasons[ban.jail] = ban
        if ban.until is not None:
            heapq.heappush(self._ends, (ban.until, ban.until, ban.network, ban.jail))

    def ban(self, ban: Ban) -> Ban | Extended | None:
        """Add a reason. A standing one of the same jail is extended, or None if it already lasts longer."""
        reasons = self._bans.get(ban.network)
        standing = reasons.get(ban.jail) if reasons else None
        if standing is None or (standing.dry and not ban.dry):
            self._put(ban)
            return ban
        if ban.dry and not standing.dry:
            return None
        if standing.until is None or (ban.until is not None and ban.until <= standing.until):
            return None
        longer = standing._replace(until=ban.until, failures=standing.failures + ban.failures)
        self._put(longer)
        return Extended(longer)

    def lift(self, network: Network, now: Instant, reason: str, jail: str | None = None) -> list[Unban]:
        """End the bans of exactly this network, of one jail or of all."""
        reasons = self._bans.get(network, {})
        lifted = [name for name in reasons if jail is None or name == jail]
        for name in lifted:
            del reasons[name]
            self.active[name] -= 1
        if not reasons:
            self._bans.pop(network, None)
        return [Unban(network, name, now, reason) for name in lifted]

    def expire(self, now: Instant) -> list[Unban]:
        """End every ban whose time is over, in order of their ends."""
        ended: list[Unban] = []
        while self._ends and self._ends[0][0] <= now:
            due, until, network, jail = heapq.heappop(self._ends)
            ban = self._bans.get(network, {}).get(jail)
            # Extended or lifted since: another entry of the heap, or none, speaks for it.
            if ban is not None and ban.until == until:
                ended += self.lift(network, due, "expired", jail)
        return ended

    def shift(self, jump: Seconds) -> None:
        """The clock was set forward, or (negative) back: the bans that stand last as long as before."""
        # Their order stays, and so does the heap.
        self._ends = [(due + jump, until, network, jail) for due, until, network, jail in self._ends]

    def refused(self) -> Iterator[Network]:
        """Every network that the kernel should refuse: those with a reason that is no dry run."""
        for network, reasons in self._bans.items():
            if any(not ban.dry for ban in reasons.values()):
                yield network

    def newest(self, count: int) -> list[Network]:
        """Of the networks that have bans, those that had none last."""
        return list(islice(reversed(self._bans), count))

    def stands(self, network: Network) -> bool:
        """Whether exactly this network should be refused by the kernel."""
        return self.reasons(network) > 0

    def reasons(self, network: Network) -> int:
        """How many reasons stand for exactly this network to be refused by the kernel."""
        return sum(not ban.dry for ban in self._bans.get(network, {}).values())

    def of(self, network: Network, jail: str) -> Ban | None:
        """The ban of exactly this network for one jail."""
        return self._bans.get(network, {}).get(jail)

    def over(self, network: Network) -> list[Ban]:
        """The bans that cover a network, the most specific first."""
        found: list[Ban] = []
        for length in range(network.length, -1, -1):
            found += self._bans.get(network.supernet(length), {}).values()
        return found

    def inside(self, network: Network) -> list[Network]:
        """The banned networks inside `network`, itself included."""
        if network.length == BITS[network.version]:
            return [network] if network in self._bans else []
        return [n for n in self._bans if network.covers(n)]

    def __iter__(self) -> Iterator[Ban]:
        for reasons in self._bans.values():
            yield from reasons.values()

    def __len__(self) -> int:
        return len(self._bans)
