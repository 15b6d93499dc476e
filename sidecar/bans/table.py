"""The ban table: the active bans of each network, one per jail. A network is blocked while it has any."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from operator import neg

from sidecar.bans.deadlines import Deadlines
from sidecar.bans.packing import Packing, Standing
from sidecar.model import Ban, Extended, Instant, Seconds, Unban
from sidecar.network import Network


class BanTable:
    """The bans, keyed by (network, jail). Changes return the resulting events.

    Built for a million bans that last for years: each takes 28 bytes, and evidence is only kept in the
    database. A resting ban stays in the table but is not enforced. `active` counts the bans per jail that do
    not rest, `resting` those that do; `dry` the dry-run bans, which are in neither.
    """

    def __init__(self, bans: Iterable[Ban] = ()) -> None:
        self._packing = Packing()
        # Per network, its packed bans concatenated.
        self._bans: dict[Network, bytes] = {}
        # The prefix lengths of all networks that ever had a ban, per version, the longest first.
        self._lengths: dict[int, list[int]] = {4: [], 6: []}
        self._deadlines = Deadlines(self._dues)
        # Per network, the jails whose bans rest. Few, unless a wide network is allowed.
        self._rests: dict[Network, frozenset[str]] = {}
        self.active: Counter[str] = Counter()
        self.resting: Counter[str] = Counter()
        self.dry: Counter[str] = Counter()
        for ban in bans:
            self._put(ban)

    def _put(self, ban: Ban) -> None:
        network, jail, packed = ban.network, ban.jail, self._packing.pack(ban)
        reasons, before = self._bans.get(network), None
        if reasons is None:
            self._bans[network] = packed
            if network[-1] not in self._lengths[network[0]]:
                insort(self._lengths[network[0]], network[-1], key=neg)
        else:
            others: list[bytes] = []
            for one in self._packing.read(reasons):
                if one.jail != jail:
                    others.append(one.packed)
                else:
                    before = one.due
                    self._tally(network, jail, dry=one.dry)[jail] -= 1
            self._bans[network] = b"".join((*others, packed))
        self._tally(network, jail, dry=ban.dry)[jail] += 1
        if ban.until is not None:
            self._deadlines.add(ban.until, network, before)

    def _tally(self, network: Network, jail: str, *, dry: bool) -> Counter[str]:
        """The counter that includes a ban."""
        if dry:
            return self.dry
        return self.resting if self._rests and self.rests(network, jail) else self.active

    def ban(self, ban: Ban) -> Ban | Extended | None:
        """Add a ban, or extend that of the same jail; None if it already lasts longer. A ban restored from a
        kernel route alone is replaced."""
        standing = self._standing(ban.network, ban.jail)
        adopted = standing is not None and standing.ban(ban.network).adopted and not ban.adopted
        if standing is None or adopted or (standing.dry and not ban.dry):
            self._put(ban)
            return ban
        if ban.dry and not standing.dry:
            return None
        if standing.until is None or (ban.until is not None and ban.until <= standing.until):
            return None
        longer = standing.ban(ban.network)._replace(
            until=ban.until, failures=standing.failures + ban.failures, evidence=ban.evidence
        )
        self._put(longer)
        return Extended(longer)

    def end_at(self, network: Network, jail: str, until: Instant | None) -> Extended | None:
        """Let a ban end then, later or earlier than before; None if there is no such ban."""
        standing = self._standing(network, jail)
        if standing is None:
            return None
        moved = standing.ban(network)._replace(until=until)
        self._put(moved)
        return Extended(moved)

    @property
    def any_widened(self) -> bool:
        """Whether there is or was a ban of a prefix whose units are banned."""
        return self._packing.any_widened

    def standing(self, network: Network) -> list[Standing]:
        """As `all_of`, with the ends as the clock shows them now."""
        return self._read(network)

    def _read(self, network: Network) -> list[Standing]:
        """The bans of exactly this network."""
        return self._packing.read(self._bans.get(network, b""))

    def is_endless(self, network: Network, jail: str) -> bool:
        """Whether the ban of exactly this network for this jail is enforced for ever, so that no other ban of
        the jail can change it."""
        packed = self._bans.get(network)
        return packed is not None and self._packing.endless(packed, jail)

    def _standing(self, network: Network, jail: str) -> Standing | None:
        packed = self._bans.get(network)
        if packed is None:
            return None
        return next((one for one in self._packing.read(packed) if one.jail == jail), None)

    def lift(self, network: Network, now: Instant, reason: str, jail: str | None = None) -> list[Unban]:
        """End the bans of exactly this network, of one jail or of all."""
        reasons = self._read(network)
        lifted = {one.jail: one.dry for one in reasons if jail in (None, one.jail)}
        if lifted:
            if rest := b"".join(one.packed for one in reasons if one.jail not in lifted):
                self._bans[network] = rest
            else:
                del self._bans[network]
        for name, dry in lifted.items():
            self._tally(network, name, dry=dry)[name] -= 1
        if network in self._rests and (still := self._rests[network].difference(lifted)):
            self._rests[network] = still
        else:
            self._rests.pop(network, None)
        return [Unban(network, name, now, reason, dry) for name, dry in lifted.items()]

    def give_way(self, network: Network, now: Instant) -> list[Unban]:
        """End the bans of exactly this network that were restored from a kernel route alone: another ban
        replaces them."""
        if not self._packing.any_adopted:
            return []
        adopted = [ban.jail for ban in self.all_of(network) if ban.adopted]
        return [unban for jail in adopted for unban in self.lift(network, now, "replaced", jail)]

    def expire(self, now: Instant) -> list[Unban]:
        """End all expired bans, in order of their ends."""
        ended: list[Unban] = []
        for network in self._deadlines.over(now):
            # A ban that was extended or lifted meanwhile is not due here.
            for one in self._read(network):
                if one.due is not None and one.due <= now:
                    ended += self.lift(network, one.due, "expired", one.jail)
        return ended

    def _dues(self, network: Network) -> Iterator[Instant]:
        for one in self._read(network):
            if one.due is not None:
                yield one.due

    def shift(self, jump: Seconds) -> None:
        """Correct all ends after the clock was set forward, or (negative) back, so that bans last as long."""
        self._packing.shift(jump)
        self._deadlines = Deadlines(self._dues)
        for network in self._bans:
            for due in self._dues(network):
                self._deadlines.add(due, network)

    def rest(self, bans: Iterable[tuple[Network, str]]) -> set[Network]:
        """Set the resting bans to exactly these (network, jail). Returns the networks whose enforcement
        changes."""
        rests: dict[Network, frozenset[str]] = {}
        interned: dict[frozenset[str], frozenset[str]] = {}
        for network, jail in bans:
            jails = rests.get(network, frozenset()) | {jail}
            rests[network] = interned.setdefault(jails, jails)
        before, affected = self._rests, self._rests.keys() | rests.keys()
        changed = [n for n in affected if before.get(n) != rests.get(n)]
        stood = [self.stands(network) for network in changed]
        for each, sign in ((before, 1), (rests, -1)):
            counted = Counter(j for n, jails in each.items() for j in jails if not self._is_dry(n, j))
            for jail, number in counted.items():
                self.active[jail] += sign * number
                self.resting[jail] -= sign * number
        self._rests = rests
        return {n for n, was in zip(changed, stood, strict=True) if self.stands(n) != was}

    def _is_dry(self, network: Network, jail: str) -> bool:
        standing = self._standing(network, jail) if self._packing.any_dry else None
        return standing is not None and standing.dry

    def all_resting(self) -> Mapping[Network, frozenset[str]]:
        """The networks with resting bans, and the jails of these."""
        return self._rests

    def rests(self, network: Network, jail: str) -> bool:
        """Whether this ban is currently not enforced."""
        return jail in self._rests.get(network, ())

    def refused(self) -> Iterable[Network]:
        """The networks that the kernel should block: those with a ban that neither rests nor is dry."""
        if self._packing.any_dry:
            return (network for network in self._bans if self.stands(network))
        if self._rests:
            return (n for n in self._bans if n not in self._rests or self.stands(n))
        return self._bans.keys()

    def refused_among(self, networks: list[Network]) -> list[Network]:
        """Those of these networks that the kernel should block. For a thread: `networks` is a copy."""
        if self._packing.any_dry or self._rests:
            return [network for network in networks if self.stands(network)]
        return networks

    def newest(self, count: int) -> list[Network]:
        """The `count` banned networks that were added last, newest first."""
        return list(islice(reversed(self._bans), count))

    def stands(self, network: Network) -> bool:
        """Whether the kernel should block exactly this network."""
        if self._packing.any_dry or network in self._rests:
            return self.reasons(network) > 0
        return network in self._bans

    def reasons(self, network: Network) -> int:
        """The number of bans for which the kernel should block exactly this network."""
        return len(self._begins(network))

    def _begins(self, network: Network) -> list[Instant]:
        """The start of each ban for which the kernel should block exactly this network."""
        if self._packing.any_dry or network in self._rests:
            resting = self._rests.get(network, ())
            return [one.at for one in self._read(network) if not one.dry and one.jail not in resting]
        return self._packing.begins(self._bans.get(network, b""))

    def refused_since(self, network: Network) -> Instant | None:
        """The start of the earliest enforced ban of this network or of a wider one; None if there is none."""
        begins = (begin for one in self._around(network) for begin in self._begins(one))
        return min(begins, default=None)

    def _around(self, network: Network) -> list[Network]:
        """The networks that cover this one and may have a ban, the most specific first."""
        own = network[-1]
        return [
            network if length == own else network.supernet(length)
            for length in self._lengths[network[0]]
            if length <= own
        ]

    def of(self, network: Network, jail: str) -> Ban | None:
        """The ban of exactly this network for one jail."""
        standing = self._standing(network, jail)
        return standing and standing.ban(network)

    def all_of(self, network: Network) -> list[Ban]:
        """The bans of exactly this network."""
        return [one.ban(network) for one in self._read(network)]

    def over(self, network: Network) -> list[Ban]:
        """The bans that cover a network, the most specific first."""
        return [ban for one in self._around(network) for ban in self.all_of(one)]

    def inside(self, network: Network) -> list[Network]:
        """The banned networks inside `network`, itself included."""
        if network.single:
            return [network] if network in self._bans else []
        return network.those_inside(self._bans)

    def matching(self, networks: Iterable[Network], wanted: Callable[[str, str], bool]) -> list[Network]:
        """Those of these networks that have a ban whose jail and reason are `wanted`."""
        numbers, bans, is_of = self._packing.numbers(wanted), self._bans, self._packing.is_of
        return [network for network in networks if is_of(bans.get(network, b""), numbers)]

    def networks(self) -> Iterable[Network]:
        """All networks that have a ban, including dry-run bans."""
        return self._bans.keys()

    def __iter__(self) -> Iterator[Ban]:
        for network in self._bans:
            yield from self.all_of(network)

    def __len__(self) -> int:
        return len(self._bans)
