"""Makes the kernel say what the ban table says: single bans at once, everything by reconcile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from sidecar.bans.table import BanTable
from sidecar.kernel.plan import Applied, BanBackend, Count, Routes, count
from sidecar.kernel.routes import RouteKind
from sidecar.model import KernelError, Network

_log = logging.getLogger("zmban.kernel")

# The standing proof that our table is written and read: an address that nobody has (TEST-NET-3).
CANARY = Network.parse("203.0.113.255")
_SUSPENDED = "suspended"


class Enforcer:
    """The one who writes routes. `fast` writes single bans while `bulk` may be busy with a reconcile."""

    def __init__(self, fast: BanBackend, bulk: BanBackend, state: Path, *, dry: bool) -> None:
        self._fast, self._bulk = fast, bulk
        self._marker = state / _SUSPENDED
        self.dry = dry
        self.throws: set[Network] = set()
        self.suspended = self._marker.exists()
        self.faults: tuple[str, ...] = ()
        self.missing: tuple[str, ...] = ("not verified yet",)
        self._changed: dict[Network, bool] | None = None

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
            # A reconcile runs with an older wish in hand; this is written again behind it.
            self._changed[network] = wanted
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

    def wanted(self, table: BanTable) -> dict[Network, RouteKind]:
        """One route per prefix; throw wins."""
        routes = dict.fromkeys(table.refused(), RouteKind.BLACKHOLE)
        routes[CANARY] = RouteKind.BLACKHOLE
        if self._bulk.knows_throw:
            routes.update(dict.fromkeys(self.throws, RouteKind.THROW))
        return routes

    async def reconcile(self, table: BanTable, *, keep_unknown: bool = False) -> Applied:
        """Write the difference between table and kernel, rules included.

        `keep_unknown` leaves blackholes of ours that the table does not know: after a crash they may be
        bans whose lines are still to be read again.
        """
        if self.suspended:
            return Applied()
        wanted = self.wanted(table)
        self._changed = {}
        try:
            applied = await asyncio.to_thread(self._reconcile, wanted, keep_unknown)
        finally:
            changed, self._changed = self._changed, None
            for network, stands in changed.items():
                self._one(network, wanted=stands)
        self.faults = tuple(str(fault) for fault in applied.faults)
        for fault in applied.faults[:10]:
            _log.error("route: %s", fault)
        return applied

    def _reconcile(self, wanted: Routes, keep_unknown: bool) -> Applied:
        self._bulk.ensure_rules()
        if keep_unknown:
            blackhole = RouteKind.BLACKHOLE
            unknown = {n: k for n, k in self._bulk.present().items() if k is blackhole and n not in wanted}
            wanted = {**unknown, **wanted}
        return self._bulk.reconcile(wanted)

    async def verify(self) -> dict[int, Count]:
        """Read the kernel, and write nothing: `missing` says afterwards why bans are not enforced, empty
        if they are. Returns what stands, per family. KernelError where the kernel cannot be read."""
        present, rules = await asyncio.to_thread(self._look)
        reasons: list[str] = []
        if self.dry:
            reasons.append("dry run")
        elif self.suspended:
            reasons.append("suspended by flush; zmban resume")
        else:
            lacking = [
                f"no rule for IPv{v} leads to our table" for v in self._bulk.versions if v not in rules
            ]
            reasons += lacking
            if present.get(CANARY) is not RouteKind.BLACKHOLE:
                reasons.append(f"the canary route {CANARY} is missing")
        self.missing = tuple(reasons)
        return count(present)

    def _look(self) -> tuple[Mapping[Network, RouteKind], tuple[int, ...]]:
        return self._bulk.present(), self._bulk.rules_present()

    def can_write(self) -> bool:
        """Whether the kernel lets us; asks, and changes nothing."""
        return self._fast.can_write()

    def present(self) -> Mapping[Network, RouteKind]:
        """Our routes, read from the kernel. Takes a second for a million: call it in a thread."""
        return self._bulk.present()

    def suspend(self) -> Applied:
        """Everything of ours out of the kernel, and nothing written until `resume`, over restarts."""
        self.suspended = True
        mark(self._marker.parent)
        return self._bulk.flush()

    def resume(self) -> None:
        """Write again; the caller reconciles."""
        self._marker.unlink(missing_ok=True)
        self.suspended = False

    def close(self, *, flush: bool) -> None:
        """End; with `flush` the routes go too."""
        if flush:
            self._bulk.flush()
        self._fast.close()
        self._bulk.close()


def mark(state: Path) -> None:
    """Leave the word that enforcement is suspended; a file, because it must work with a broken database."""
    state.mkdir(parents=True, exist_ok=True)
    (state / _SUSPENDED).touch()
