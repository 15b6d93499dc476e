"""Makes the kernel say what the ban table says: single bans at once, everything by reconcile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from sidecar.app import proof
from sidecar.app.proof import CANARY, TOLD, Proof
from sidecar.app.threads import to_the_end
from sidecar.bans.table import BanTable
from sidecar.kernel.ingress import Ingress, Way
from sidecar.kernel.listener import Listener
from sidecar.kernel.plan import Applied, BanBackend, Count
from sidecar.kernel.reading import Routes
from sidecar.kernel.routes import RouteKind
from sidecar.model import KernelError
from sidecar.network import Network, PrefixSet

_log = logging.getLogger("zmban.kernel")

# More routes than this at once are written in bulk.
MOST_SINGLE = 1000
_SUSPENDED = "suspended"
# So many of the newest bans are asked for at each look.
_NEWEST = 8


class Enforcer:
    """The one who writes routes, and by `ingress` what drops on the way in: None in a dry run.

    `fast` writes single bans while `bulk` may be busy with a reconcile.

    `remove_all` takes everything of ours out of the kernel, whatever the backends are. The marker of a
    suspension is a file, because another process may leave it: `zmban flush` without a service.
    """

    def __init__(
        self,
        fast: BanBackend,
        bulk: BanBackend,
        state: Path,
        remove_all: Callable[[], int],
        ingress: Ingress | None = None,
    ) -> None:
        self._fast, self._bulk, self._remove_all, self._ingress = fast, bulk, remove_all, ingress
        self._marker = state / _SUSPENDED
        self.dry = ingress is None
        self.throws: set[Network] = set()
        self.suspended = self._marker.exists()
        self.faults: tuple[str, ...] = ()
        self.missing: tuple[str, ...] = ("not verified yet",)
        self.doubts: tuple[str, ...] = ()
        self._unkept: tuple[str, ...] = ()
        self._changed: dict[Network, bool] | None = None
        self._unknown: set[Network] = set()
        self._turn = asyncio.Lock()
        # Held while routes are written in bulk: a flush waits for it, and nothing is written behind it.
        self._gate = threading.Lock()

    def ban(self, networks: Iterable[Network]) -> int:
        """Refuse these now; how many the kernel took. Errors are logged: a reconcile comes after them."""
        return sum(self._one(network, wanted=True) for network in networks)

    def unban(self, networks: Iterable[Network]) -> int:
        """Let these in again now."""
        return sum(self._one(network, wanted=False) for network in networks)

    def _one(self, network: Network, *, wanted: bool) -> bool:
        if self.suspended or network in self.throws or network == CANARY:
            return False
        if self._changed is not None:
            # A reconcile runs with an older wish in hand; this is looked at again behind it.
            self._changed[network] = wanted
        if wanted and network in self._unknown:
            # Its route outlived the process that wrote it: writing it anew would open it for a moment.
            self._unknown.discard(network)
            return True
        try:
            if wanted:
                self._fast.add(network)
            else:
                self._fast.remove(network)
        except KernelError as error:
            _log.error("%s %s: %s", "ban" if wanted else "unban", network, error)
            self.faults = (str(error),)
            return False
        return True

    def mend(self, table: BanTable, changed: Mapping[Network, RouteKind | None]) -> int:
        """Somebody changed these routes of ours, to this kind or (None) to nothing: make good at once what is
        not as wanted, and say how many that were."""
        if self.suspended or self._marker.exists():
            return 0
        mended = 0
        for network, kind in changed.items():
            wanted = self._wish(table, network)
            if wanted is kind:
                continue
            try:
                if wanted is None:
                    self._fast.remove(network)
                else:
                    self._fast.add(network, wanted)
                mended += 1
            except KernelError as error:
                _log.error("repair of %s: %s", network, error)
        return mended

    def _wish(self, table: BanTable, network: Network) -> RouteKind | None:
        """Which route should stand on exactly this prefix."""
        if network == CANARY:
            return RouteKind.BLACKHOLE
        if network in self.throws and self._bulk.knows_throw:
            return RouteKind.THROW
        return RouteKind.BLACKHOLE if network in self._unknown or table.stands(network) else None

    def mend_rules(self) -> int:
        """Add the rules of ours that are gone; how many those were. Call it in a thread."""
        with self._gate:
            if self.suspended or self._marker.exists():
                return 0
            return len(self._bulk.ensure_rules())

    def keep_ingress(self) -> int:
        """Drop on the way in what only our rule drops; how many rules somebody had removed. In a thread."""
        with self._gate:
            if self._ingress is None or self.suspended or self._marker.exists():
                return 0
            try:
                lost = self._ingress.ensure()
                self._unkept = ()
            except KernelError as error:
                if not self._unkept:
                    _log.warning("%s: only the replies to the banned are refused", error)
                self._unkept, lost = (str(error),), 0
            return lost

    def dropped(self) -> int:
        """How many packets were dropped on the way in since this was asked last. In a thread."""
        with contextlib.suppress(KernelError):
            return self._ingress.dropped() if self._ingress else 0
        return 0

    def ways(self) -> tuple[Way, ...]:
        """How what the banned send is dropped on each interface that leads out."""
        return self._ingress.ways if self._ingress else ()

    def listener(self) -> Listener | None:
        """Hears what others change of ours; None in a dry run. KernelError where nothing can be heard."""
        return None if self.dry else Listener((self._fast.port, self._bulk.port), self._bulk.table)

    def wanted(self, table: BanTable) -> dict[Network, RouteKind]:
        """One route per prefix; throw wins, but over the canary."""
        routes = dict.fromkeys(table.refused(), RouteKind.BLACKHOLE)
        if self._bulk.knows_throw:
            routes.update(dict.fromkeys(self.throws, RouteKind.THROW))
        routes[CANARY] = RouteKind.BLACKHOLE
        return routes

    async def reconcile(self, table: BanTable, *, keep_unknown: bool = False) -> Applied:
        """Write the difference between table and kernel, rules included; one at a time.

        `keep_unknown` leaves blackholes of ours that the table does not know: after a crash they may be
        bans whose lines are still to be read again.
        """
        async with self._turn:
            if self.suspended:
                return Applied()
            wanted = self.wanted(table)
            self._changed = {}
            try:
                applied = await to_the_end(self._reconcile, wanted, keep_unknown)
                if self._changed:
                    self._settle(await to_the_end(self._bulk.present))
            except asyncio.CancelledError:
                # Its thread is done, and may have undone what was decided meanwhile.
                self._settle(None)
                raise
            finally:
                self._changed = None
        self.faults = tuple(str(fault) for fault in applied.faults)
        for fault in applied.faults[:10]:
            _log.error("route: %s", fault)
        return applied

    def _settle(self, present: Mapping[Network, RouteKind] | None) -> None:
        """What was decided while a reconcile ran, and was undone by it, is written again; all where that is
        not known."""
        changed, self._changed = self._changed or {}, None
        for network, stands in changed.items():
            if present is None or stands != (present.get(network) is RouteKind.BLACKHOLE):
                self._one(network, wanted=stands)

    def _reconcile(self, wanted: Routes, keep_unknown: bool) -> Applied:
        with self._gate:
            if self._marker.exists():
                self.suspended = True
                return Applied()
            self._bulk.ensure_rules()
            protected = PrefixSet(self.throws if keep_unknown else ())
            keep = (lambda network: protected.covering(network) is None) if keep_unknown else None
            applied = self._bulk.reconcile(wanted, keep)
            self._unknown = set(applied.kept)
            if self._marker.exists():
                # Another process flushed meanwhile: its word counts.
                self._leave()
                self.suspended = True
            return applied

    async def verify(self, table: BanTable) -> dict[int, Count]:
        """Read the kernel, and ask it for the way to some who are banned: `missing` says afterwards why bans
        are not enforced, empty if they are, and `doubts` what else is not as it should be. Returns what
        stands, per family. KernelError where the kernel cannot be read."""
        wanted = self.wanted(table)
        seen = await to_the_end(self._look, wanted, table.newest(_NEWEST))
        self.doubts = () if self.dry else (*seen.doubts(), *self._unkept)
        if self.dry:
            self.missing = ("dry run",)
        elif self.suspended:
            self.missing = ("suspended by flush; zmban resume",)
        else:
            self.missing = tuple(self._reasons(table, seen, len(wanted)))
        return seen.counts

    def _reasons(self, table: BanTable, seen: Proof, wanted: int) -> Iterator[str]:
        for version in self._bulk.versions:
            if version not in seen.rules:
                yield f"no rule for IPv{version} leads to our table"
        if CANARY in seen.change.add:
            yield f"the canary route {CANARY} is missing"
        # What is being written is not there yet.
        absent = sum(self._wish(table, n) is kind for n, kind in seen.change.add.items())
        if absent and not self._turn.locked():
            yield f"{absent} of {wanted} routes are missing"
        # Who was let in meanwhile may be reached.
        yield from [why for network, why in seen.let_in if network == CANARY or table.stands(network)][:TOLD]

    def _look(self, wanted: Routes, newest: Iterable[Network]) -> Proof:
        if not self.suspended and self._marker.exists():
            with self._gate:
                self.suspended = True
                self._leave()
        return proof.look(self._bulk, wanted, newest, self.throws)

    def can_write(self) -> bool:
        """Whether the kernel lets us; asks, and changes nothing."""
        return self._fast.can_write()

    def present(self) -> Mapping[Network, RouteKind]:
        """Our routes, read from the kernel. Takes a second for a million: call it in a thread."""
        return {} if self.dry else self._bulk.present()

    def suspend(self) -> int:
        """Everything of ours out of the kernel, and nothing written until `resume`, over restarts."""
        self.suspended = True
        mark(self._marker.parent)
        with self._gate:
            return self._leave()

    def _leave(self) -> int:
        """Everything of ours out of the kernel; how many routes that were."""
        self._let_all_in()
        return self._remove_all()

    def _let_all_in(self) -> None:
        with contextlib.suppress(KernelError):
            if self._ingress is not None:
                self._ingress.remove()

    def resume(self) -> None:
        """Write again; the caller reconciles."""
        self._marker.unlink(missing_ok=True)
        self.suspended = False

    def close(self, *, flush: bool) -> None:
        """End; with `flush` the routes go too."""
        with self._gate:
            if flush:
                self._bulk.flush()
                self._let_all_in()
            self._fast.close()
            self._bulk.close()


def mark(state: Path) -> bool:
    """Leave the word that enforcement is suspended; False where nothing can be written there.

    A file, because it must work with a broken database.
    """
    with contextlib.suppress(OSError):
        state.mkdir(parents=True, exist_ok=True)
        (state / _SUSPENDED).touch()
        return True
    return False
