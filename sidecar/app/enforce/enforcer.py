"""Makes the kernel say what the ban table says: single bans at once, everything by reconcile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from sidecar.app.background import run_uncancellable
from sidecar.app.enforce import proof
from sidecar.app.enforce.proof import CANARY, TOLD, Proof
from sidecar.app.enforce.reconciler import Reconciler
from sidecar.bans.table import BanTable
from sidecar.kernel.ingress import Ingress, Way
from sidecar.kernel.listener import Listener
from sidecar.kernel.plan import Applied, BanBackend, Count
from sidecar.kernel.routes import RouteKind
from sidecar.model import KernelError, plural
from sidecar.network import Network
from sidecar.store.suspension import Marker

_log = logging.getLogger("zmban.kernel")

# More routes than this at once are written in bulk.
MOST_SINGLE = 1000
_FLUSHED = "suspended by flush; zmban resume"
# So many of the newest bans are asked for each time.
_NEWEST = 8


class Enforcer:
    """Writes routes, and by `ingress` what drops on the way in: None in a dry run.

    `fast` writes, `bulk` reads whole tables in a thread meanwhile, `remove_all` empties the kernel of all
    of ours, whatever these are. The marker of a suspension is a file: another process may leave it.
    """

    def __init__(
        self,
        fast: BanBackend,
        bulk: BanBackend,
        state: Path,
        remove_all: Callable[[], int],
        ingress: Ingress | None = None,
    ) -> None:
        self.dry = ingress is None
        # What is only remembered is remembered once.
        self._fast, self._bulk = fast, fast if self.dry else bulk
        self.routes = Reconciler(fast, self._bulk)
        self._remove_all, self._ingress = remove_all, ingress
        self._marker = Marker(state)
        self.suspended = self._marker.stands
        self._left = False
        self.faults: tuple[str, ...] = ()
        self.missing: tuple[str, ...] = (_FLUSHED if self.suspended else "not verified yet",)
        self.doubts: tuple[str, ...] = ()
        self._unkept: tuple[str, ...] = ()
        # The families whose rule was written, and for each one that was gone again its family.
        self._rules: set[int] = set()
        self._lost_rules: list[int] = []
        self._turn = asyncio.Lock()
        # Held while rules and what drops on the way in are written: a flush waits for it.
        self._gate = threading.Lock()

    @property
    def suspended(self) -> bool:
        """Whether nothing is written until `resume`."""
        return self.routes.writer.stopped

    @suspended.setter
    def suspended(self, suspended: bool) -> None:
        self.routes.writer.stopped = suspended

    @property
    def throws(self) -> set[Network]:
        """Who must be reachable, whatever is banned around it; the caller reconciles."""
        return self.routes.throws

    @throws.setter
    def throws(self, throws: set[Network]) -> None:
        self.routes.spare(throws)

    def mark_due(self, networks: Iterable[Network]) -> None:
        """What should stand on these changes by our own doing; the caller reconciles."""
        self.routes.writer.due.update(networks)

    def hold(self, networks: Iterable[Network]) -> None:
        """The bans of these ended: their routes stay as they are until `release`."""
        self.routes.writer.held.update(networks)

    def release(self, networks: Iterable[Network]) -> None:
        """That they ended is written down; the caller lets in those that have no throw by now."""
        self.routes.writer.held.difference_update(networks)
        self.mark_due(self.throws.intersection(networks))

    def ban(self, networks: Iterable[Network]) -> int:
        """Refuse these now; how many the kernel took. Errors are logged: a reconcile comes after them."""
        return sum(self._one(network, wanted=True) for network in networks)

    def unban(self, networks: Iterable[Network]) -> int:
        """Let these in again now."""
        return sum(self._one(network, wanted=False) for network in networks)

    def _one(self, network: Network, *, wanted: bool) -> bool:
        if self.suspended or network in self.throws or network == CANARY:
            return False
        try:
            (self.routes.ban if wanted else self.routes.unban)(network)
        except KernelError as error:
            _log.error("%s %s: %s", "ban" if wanted else "unban", network, error)
            self.faults = (str(error),)
            return False
        return True

    def mend(self, table: BanTable, changed: Mapping[Network, RouteKind | None]) -> None:
        """Somebody changed these routes of ours, to this kind or (None) to nothing: make good at once what is
        not as wanted."""
        if self.suspended or self._marker.stands:
            return
        try:
            self.routes.mend(table, changed)
        except KernelError as error:
            _log.error("repair of routes: %s", error)

    def others(self) -> Counter[str]:
        """How many routes and rules of ours others removed or changed since this was asked last; they are as
        they should be again."""
        writer = self.routes.writer
        found = Counter(route=writer.others, rule=len(self._lost_rules))
        writer.others = 0
        del self._lost_rules[: found["rule"]]
        return found

    def mend_rules(self) -> None:
        """Add the rules of ours that are gone. Call it in a thread."""
        with self._gate:
            if not (self.suspended or self._marker.stands):
                self._ensure_rules()

    def _ensure_rules(self) -> None:
        missing = self._bulk.ensure_rules()
        # The first time they are not there yet.
        self._lost_rules += [version for version in missing if version in self._rules]
        self._rules.update(self._bulk.versions)

    def keep_ingress(self) -> int:
        """Drop on the way in what only our rule drops; how many rules somebody had removed. In a thread."""
        with self._gate:
            if self._ingress is None or self.suspended or self._marker.stands:
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

    async def reconcile(self, table: BanTable, *, keep_unknown: bool = False) -> Applied:
        """Write the difference between table and kernel, rules included; one at a time.

        `keep_unknown`, at the start, leaves blackholes of ours that the table does not know, until
        `forget_unknown`: after a crash they may be bans whose lines are still to be read again.
        """
        async with self._turn:
            await run_uncancellable(self._heed_marker)
            if self.suspended:
                return Applied()
            made = await self.routes.make_good(table, keep_unknown=keep_unknown)
            await run_uncancellable(self._heed_marker)
        faults = tuple(made.faults)
        self.faults = tuple(map(str, faults))
        for fault in faults[:10]:
            _log.error("route: %s", fault)
        return Applied(added=made.written, faults=faults)

    def forget_unknown(self) -> None:
        """Whatever was banned before is known again: the rest is nobody's; the caller reconciles."""
        self.routes.forget_unknown()

    def _heed_marker(self) -> None:
        """Another process may have flushed meanwhile: its word counts. Else our rules stand. In a thread."""
        with self._gate:
            if self._marker.stands:
                left, self.suspended = self.suspended and self._left, True
                if not (left or self.dry):
                    self._leave()
            elif not self.suspended:
                self._ensure_rules()

    async def verify(self, table: BanTable) -> dict[int, Count]:
        """Read the kernel, make good what is missing, and ask it for the way to some who are banned.

        `missing` says afterwards why bans are not enforced, empty if they are; `doubts` what else is wrong.
        Returns what stands, per family, without the canary. KernelError where the kernel cannot be read.
        """
        await run_uncancellable(self._heed_marker)
        # What another reconcile is writing is not there yet.
        looks_on = self.dry or self.suspended or self._turn.locked()
        if looks_on:
            wanted = self.routes.wanted(table)
            absent = set((await run_uncancellable(self._bulk.differs, wanted)).add)
            told = absent & {CANARY}
        else:
            async with self._turn:
                made = await self.routes.make_good(table)
            wanted, absent = dict(made.wanted), made.wanted.keys() & made.refused.keys()
            told = {network for network in absent if self.routes.wish(table, network) is not None}
        present = {n: kind for n, kind in wanted.items() if n not in absent} if absent else wanted
        seen = await run_uncancellable(proof.look, self._bulk, present, table.newest(_NEWEST), self.throws)
        self.doubts = () if self.dry else (*seen.doubts(self.throws), *self._unkept)
        if self.dry:
            self.missing = ("dry run",)
        elif self.suspended:
            self.missing = (_FLUSHED,)
        else:
            self.missing = tuple(self._reasons(table, seen, told, len(wanted)))
        return seen.counts if table.stands(CANARY) else proof.without_canary(seen.counts, present)

    def _reasons(self, table: BanTable, seen: Proof, absent: set[Network], wanted: int) -> Iterator[str]:
        for version in self._bulk.versions:
            if version not in seen.rules:
                yield f"no rule for IPv{version} leads to our table"
        if CANARY in absent:
            yield f"the canary route {CANARY} is missing"
        if absent:
            yield f"{len(absent)} of {wanted} {plural(wanted, 'route is', 'routes are')} missing"
        # Who was let in meanwhile may be reached.
        yield from [why for network, why in seen.let_in if network == CANARY or table.stands(network)][:TOLD]

    def can_write(self) -> bool:
        """Whether the kernel lets us; asks, and changes nothing."""
        return self._fast.can_write()

    def present(self) -> Mapping[Network, RouteKind]:
        """Our routes, read from the kernel. Takes a second for a million: call it in a thread."""
        return {} if self.dry else self.routes.present()

    def suspend(self) -> int:
        """Everything of ours out of the kernel, and nothing written until `resume`, over restarts."""
        self._marker.leave()
        self.suspended = True
        with self._gate:
            return self._leave()

    def _leave(self) -> int:
        """Everything of ours out of the kernel; how many routes that were."""
        self._left = False
        self.routes.forget_unknown()
        self._rules.clear()
        self._let_all_in()
        removed = self._remove_all()
        # Where that failed it is tried again at the next look.
        self._left = True
        return removed

    def _let_all_in(self) -> None:
        with contextlib.suppress(KernelError):
            if self._ingress is not None:
                self._ingress.remove()

    def resume(self) -> None:
        """Write again; the caller reconciles."""
        self._marker.remove()
        self.suspended = False

    def close(self, *, flush: bool) -> None:
        """End; with `flush` the routes go too."""
        with self._gate:
            if flush:
                self._bulk.flush()
                self._let_all_in()
            self._fast.close()
            self._bulk.close()
