"""Which routes should stand, and the kernel made to say so: read in a thread, decided where it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from sidecar.app.background import run_uncancellable
from sidecar.app.enforce.proof import CANARY
from sidecar.app.enforce.route_writer import RouteWriter
from sidecar.bans.table import BanTable
from sidecar.kernel.plan import BanBackend, Difference, Fault, covering
from sidecar.kernel.reading import Routes
from sidecar.kernel.routes import RouteKind
from sidecar.model import KernelError
from sidecar.network import Network, PrefixSet

# A route that the kernel refused is missing only if so many dumps lack it: while something is written, one
# may, though it stands.
_DUMPS = 5
_COVERS = "it covers a protected network, and in table main nothing can be kept reachable under it"


@dataclass(frozen=True, slots=True)
class Made:
    """What one reconcile came to: how many routes were `written`, what was `wanted`, and the errno of each
    that is `refused` for all that; `faults` says so in words."""

    written: int
    wanted: Routes
    refused: Mapping[Network, int]
    faults: tuple[Fault, ...]


class Reconciler:
    """Writes by `fast`, and reads by `bulk` in a thread meanwhile. One reconcile at a time.

    `throws` must be reachable, whatever is banned around them.
    """

    def __init__(self, fast: BanBackend, bulk: BanBackend) -> None:
        self._bulk = bulk
        self.writer = RouteWriter(fast)
        self.throws: set[Network] = set()
        # Blackholes that outlived the process that wrote them, until it is known whose they are.
        self._unknown: set[Network] = set()
        self._keeps = self._looked = False
        self._doubles: frozenset[Network] = frozenset()
        self._blocked: set[Network] = set()

    def spare(self, throws: set[Network]) -> None:
        """These must be reachable from now on; the caller reconciles."""
        self.writer.due |= self.throws ^ throws
        self.throws = throws

    def ban(self, network: Network) -> None:
        """Refuse it now. KernelError."""
        if network in self._unknown:
            # Its route outlived the process that wrote it: writing it anew would open it for a moment.
            self._unknown.discard(network)
        elif self._cuts_off(network):
            raise KernelError(str(Fault(network, RouteKind.BLACKHOLE, 0, _COVERS)))
        else:
            self.writer.ban(network)

    def unban(self, network: Network) -> None:
        """Let it in now. KernelError."""
        self.writer.unban(network)

    def mend(self, table: BanTable, changed: Mapping[Network, RouteKind | None]) -> None:
        """Make good what others changed, if it is not as wanted. KernelError."""
        self.writer.mend(changed, partial(self.wish, table))

    def _cuts_off(self, network: Network) -> bool:
        """Whether a ban would refuse somebody who must be reachable: table main knows no throw."""
        wide = not (self._bulk.knows_throw or network.single)
        return wide and any(network.covers(throw) for throw in self.throws)

    def wish(self, table: BanTable, network: Network) -> RouteKind | None:
        """Which route should stand on exactly this prefix."""
        if network == CANARY:
            return RouteKind.BLACKHOLE
        if network in self.throws:
            return RouteKind.THROW if self._bulk.knows_throw else None
        if table.stands(network) and not self._cuts_off(network):
            return RouteKind.BLACKHOLE
        return RouteKind.BLACKHOLE if network in self._unknown else None

    def wanted(self, table: BanTable) -> dict[Network, RouteKind]:
        """One route per prefix; throw wins, but over the canary."""
        routes = dict.fromkeys(table.refused(), RouteKind.BLACKHOLE)
        routes.update(dict.fromkeys(self._unknown, RouteKind.BLACKHOLE))
        if self._bulk.knows_throw:
            routes.update(dict.fromkeys(self.throws, RouteKind.THROW))
        routes[CANARY] = RouteKind.BLACKHOLE
        if 6 not in self._bulk.versions:
            routes = {network: kind for network, kind in routes.items() if network.version == 4}
        return routes

    def forget_unknown(self) -> None:
        """Whatever was banned before is known again: the rest is nobody's; the caller reconciles."""
        self.writer.due |= self._unknown
        self._unknown, self._keeps = set(), False

    async def make_good(self, table: BanTable, *, keep_unknown: bool = False) -> Made:
        """Write what is due, then what differs. KernelError.

        `keep_unknown` leaves blackholes that nobody wants, until `forget_unknown`.
        """
        wish = partial(self.wish, table)
        self._keeps |= keep_unknown
        with self.writer.owing():
            written = await self.writer.settle(wish)
            wanted = self.wanted(table)
            change = await run_uncancellable(self._bulk.differs, wanted)
            if self._keeps and not self._looked:
                self._unknown = self._kept(change)
            self._looked = True
            # The kernel lists one twice now and then: not the same one the next time.
            self.writer.separate(change.doubles & self._doubles, wish)
            self._doubles = change.doubles - self._doubles
            number, refused = await self.writer.apply(change, wish)
            written += number
            for _ in range(_DUMPS - 1):
                if refused.keys() <= self._blocked:
                    break
                change = await run_uncancellable(self._bulk.differs, self.wanted(table))
                number, refused = await self.writer.apply(change.only(refused), wish)
                written += number
        self._blocked = set(refused)
        # When the way is free one day, it is our own doing that it stands.
        self.writer.due |= self._blocked
        self.writer.seen_whole()
        return Made(written, wanted, refused, tuple(self._faults(table, refused, wanted)))

    def _kept(self, change: Difference) -> set[Network]:
        """Unknown blackholes, but for those that refuse who is protected."""
        protected = PrefixSet(self.throws)
        surplus = (n for n, kind in change.remove.items() if kind is RouteKind.BLACKHOLE)
        return {n for n in surplus if n not in change.add and protected.covering(n) is None}

    def _faults(self, table: BanTable, refused: Mapping[Network, int], wanted: Routes) -> Iterator[Fault]:
        for network, code in refused.items():
            kind = self.wish(table, network) or RouteKind.BLACKHOLE
            yield Fault.of(network, kind, code)
        if not self._bulk.knows_throw:
            for network in covering(self.throws, wanted):
                yield Fault(network, RouteKind.BLACKHOLE, 0, _COVERS)

    def present(self) -> Routes:
        """Our routes, read from the kernel; in a thread."""
        found: dict[Network, RouteKind] = {}
        for _ in range(_DUMPS):
            before = self.writer.generation
            found.update(self._bulk.present())
            # Where something was written meanwhile, a route that stands may not have been listed.
            if self.writer.generation == before:
                break
        return found
