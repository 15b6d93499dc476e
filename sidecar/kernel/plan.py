"""Works out what must change so that the kernel says what the ban table says; pure, no socket."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple, Protocol, TypeAlias

from sidecar.kernel.codec import RouteKind
from sidecar.kernel.reading import Routes
from sidecar.network import BITS, Network, PrefixSet

_FOREIGN = "a route that is not zmban's stands on this prefix"


@dataclass(frozen=True, slots=True)
class Difference:
    """What to write. A prefix that changes its kind is in both: the old goes before the new comes. `doubles`
    are prefixes on which several of ours stand."""

    add: Routes
    remove: dict[Network, RouteKind]
    doubles: frozenset[Network] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.add or self.remove or self.doubles)

    def only(self, networks: Collection[Network]) -> Difference:
        """The part of it that concerns these."""
        add, remove = (
            {n: kind for n, kind in part.items() if n in networks} for part in (self.add, self.remove)
        )
        return Difference(add, remove, self.doubles.intersection(networks))


# One step of writing a difference: whether to delete, which kind, which networks.
Step: TypeAlias = tuple[bool, RouteKind, Sequence[Network]]


class Fault(NamedTuple):
    """One route that is not as wanted. `code` is the kernel's errno, 0 if zmban itself refused."""

    network: Network
    kind: RouteKind
    code: int
    reason: str

    @classmethod
    def from_code(cls, network: Network, kind: RouteKind, code: int) -> Fault:
        """The fault for an errno of the kernel."""
        return cls(network, kind, code, os.strerror(code) if code else "the kernel did not say why")

    @classmethod
    def of(cls, network: Network, kind: RouteKind, code: int) -> Fault:
        """As `from_code`, of a write: something stood there already, and still is not ours."""
        return (
            cls(network, kind, code, _FOREIGN) if code == errno.EEXIST else cls.from_code(network, kind, code)
        )

    def __str__(self) -> str:
        return f"{self.kind.name.lower()} {self.network}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Applied:
    """What a reconcile did. `kept` are blackholes that were not wanted and stay; `skipped` counts wanted
    networks of a family that this host does not have."""

    added: int = 0
    removed: int = 0
    faults: tuple[Fault, ...] = ()
    skipped: int = 0
    kept: frozenset[Network] = frozenset()


@dataclass(frozen=True, slots=True)
class Count:
    """Our routes of one family: how many there are, how many of them are throws, and how many addresses
    they refuse (nested prefixes counted once, throws taken out)."""

    routes: int = 0
    throws: int = 0
    addresses: int = 0


# Whether a blackhole of ours that is not wanted stays all the same.
Keep = Callable[[Network], bool]


class BanBackend(Protocol):
    """What every backend can do; RoutingTable and DryRunTable are the two. One caller at a time."""

    @property
    def versions(self) -> tuple[int, ...]: ...
    @property
    def knows_throw(self) -> bool: ...
    @property
    def port(self) -> int: ...
    @property
    def table(self) -> int: ...
    def can_write(self) -> bool: ...
    def present(self) -> dict[Network, RouteKind]: ...
    def differs(self, wanted: Routes) -> Difference: ...
    def reconcile(self, wanted: Routes, keep: Keep | None = None) -> Applied: ...
    def add(self, network: Network, kind: RouteKind = ...) -> None: ...
    def remove(self, network: Network) -> None: ...
    def write(self, kind: RouteKind, networks: Sequence[Network]) -> Mapping[Network, int]: ...
    def erase(self, kind: RouteKind, networks: Sequence[Network]) -> Mapping[Network, int]: ...
    def ensure_rules(self) -> tuple[int, ...]: ...
    def rules_present(self) -> tuple[int, ...]: ...
    def rules_before(self, version: int) -> list[int]: ...
    def reachable(self, network: Network) -> bool: ...
    def refuses(self, network: Network) -> bool: ...
    def flush(self) -> Applied: ...
    def close(self) -> None: ...


def difference(wanted: Routes, present: Routes) -> Difference:
    """The writes that turn `present` into `wanted`."""
    if wanted == present:
        return Difference({}, {})
    # Dict against dict and set against dict take the hashes that are stored already: with 300,000 routes
    # 0.06 s for the comparison above and 0.26 s for the sets, where a lookup of each takes 0.42 s.
    absent, surplus = set(wanted).difference(present), set(present).difference(wanted)
    throws = {n for routes in (wanted, present) for n, kind in routes.items() if kind is RouteKind.THROW}
    turned = {n for n in throws if n in wanted and n in present and wanted[n] is not present[n]}
    return Difference(
        add={network: wanted[network] for network in absent | turned},
        remove={network: present[network] for network in surplus | turned},
    )


def steps(change: Difference) -> Iterator[Step]:
    """The writes of a difference in their order: throws come before blackholes and go after them, so that
    nobody protected is ever cut off between."""
    blackhole, throw, add, remove = RouteKind.BLACKHOLE, RouteKind.THROW, change.add, change.remove
    yield True, blackhole, [network for network, kind in remove.items() if kind is blackhole]
    yield True, throw, [network for network, kind in remove.items() if kind is throw and network in add]
    yield False, throw, [network for network, kind in add.items() if kind is throw]
    # By family, for messages of one length are packed together.
    yield False, blackhole, sorted((n for n, kind in add.items() if kind is blackhole), key=itemgetter(0))
    yield True, throw, [network for network, kind in remove.items() if kind is throw and network not in add]


def covering(throws: Iterable[Network], blackholes: Routes) -> set[Network]:
    """Those blackholes of `blackholes` that cover one of `throws`, or are one."""
    found: set[Network] = set()
    for throw in throws:
        for length in range(throw.length + 1):
            wider = throw.supernet(length)
            if blackholes.get(wider) is RouteKind.BLACKHOLE:
                found.add(wider)
    return found


def count(routes: Routes) -> dict[int, Count]:
    """Per family (4, 6) the routes and the refused addresses, by longest prefix as the kernel decides."""
    return {version: _counted(routes, version) for version in BITS}


def _counted(routes: Routes, version: int) -> Count:
    lengths: Counter[tuple[int, RouteKind]] = Counter(
        (network[-1], kind) for network, kind in routes.items() if network[0] == version
    )
    throws = sum(number for (_, kind), number in lengths.items() if kind is RouteKind.THROW)
    # Nothing lies inside the longest: only those around them must be put in order, and a million are not.
    longest = max((length for length, _ in lengths), default=0)
    wide = {n: kind for n, kind in routes.items() if n[0] == version and n[-1] < longest}
    addresses = _refused(wide)
    each = Network(version, 0, longest).addresses
    around = PrefixSet(wide)
    for network in around.those_covered(n for n in routes if n[0] == version and n[-1] == longest):
        refused_around = wide[around.covering(network) or network] is RouteKind.BLACKHOLE
        # Counted with all of its kind below, as if nothing were around it.
        addresses -= each if refused_around else 0
    addresses += lengths[longest, RouteKind.BLACKHOLE] * each
    return Count(sum(lengths.values()), throws, addresses)


def _refused(wide: Routes) -> int:
    """Addresses of one family whose longest prefix is a blackhole."""
    total = 0
    around: list[tuple[Network, bool]] = []  # the prefixes that enclose the current one, widest first
    for network in sorted(wide):
        while around and not around[-1][0].covers(network):
            around.pop()
        refused = wide[network] is RouteKind.BLACKHOLE
        before = around[-1][1] if around else False
        if refused != before:
            total += network.addresses if refused else -network.addresses
        around.append((network, refused))
    return total
