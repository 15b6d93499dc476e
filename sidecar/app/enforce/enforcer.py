"""Enforces bans in the kernel: single bans at once, everything by reconcile."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path

from sidecar.app.background import BackgroundTasks
from sidecar.app.enforce.attachment import Attachment
from sidecar.app.enforce.enforcement_status import DRY_RUN, SUSPENDED, EnforcementStatus, found
from sidecar.app.enforce.proof import CANARY, let_in, look
from sidecar.app.enforce.reconciler import Reconciler
from sidecar.bans.table import BanTable
from sidecar.kernel.backend import BanBackend, Changes, Entry, Way
from sidecar.model import Ban, Batch, KernelError, Unban, counted
from sidecar.network import Network
from sidecar.serve.metrics import Metrics
from sidecar.store.suspension import SuspensionMarker
from sidecar.threads import run_uncancellable

_log = logging.getLogger("zmban.kernel")

# More entries than this at once are left to a reconcile, which lets other tasks run in between.
MOST_SINGLE = 1000
# Lookups of newest bans at each check.
_NEWEST = 8


class Enforcer:
    """Writes bans into a backend and verifies them. A subscriber of the bus.

    `after_commit` calls a function after the next commit. A suspension is marked by a file in `state`, which
    another process may create.
    """

    def __init__(
        self,
        backend: BanBackend,
        table: BanTable,
        state: Path,
        after_commit: Callable[[Callable[[], None]], None],
        background: BackgroundTasks,
        metrics: Metrics,
    ) -> None:
        self._backend, self._table, self._metrics = backend, table, metrics
        self._after_commit, self._background = after_commit, background
        # Bans are only recorded.
        self.dry = not backend.enforces
        self._routes = Reconciler(backend, table, metrics.stages["reconcile"].observe)
        self._writer = self._routes.writer
        self._marker = SuspensionMarker(state)
        self._writer.stopped = self._marker.is_suspended
        self._left = False
        self._attachment = Attachment(backend, lambda: not (self.suspended or self._marker.is_suspended))
        self._turn = asyncio.Lock()

    @property
    def suspended(self) -> bool:
        """Whether nothing is written until `resume`."""
        return self._writer.stopped

    @property
    def exempted(self) -> set[Network]:
        """The networks that stay reachable under a wider ban."""
        return self._routes.exempted

    @property
    def due(self) -> int:
        """How many entries were not written yet."""
        return len(self._writer.due)

    def exempt(self, networks: set[Network]) -> None:
        """Set the networks that stay reachable under a wider ban; the caller reconciles."""
        self._routes.exempt(networks)

    def mark_due(self, networks: Iterable[Network]) -> None:
        """The wanted entries of these networks changed, so that a difference is not drift; the caller
        reconciles."""
        self._writer.due.update(networks)

    def handle(self, batch: Batch) -> None:
        """Refuse networks of new bans at once. Let in networks of ended bans after the commit: after a crash,
        an unneeded route is removed by reconcile, but a lost unban is not."""
        new: dict[Network, int] = {}
        replaced: set[Network] = set()
        ended: list[Network] = []
        for ban in batch.of(Ban):
            if not ban.dry and not ban.adopted:
                new[ban.network] = new.get(ban.network, 0) + 1
        for unban in batch.of(Unban):
            if unban.reason == "replaced":
                replaced.add(unban.network)
            if not self._table.stands(unban.network):
                ended.append(unban.network)
        # A network that another ban refuses has its entry already. Writing it again would let packets through
        # for a moment.
        reasons = self._table.reasons
        banned = [n for n, times in new.items() if n not in replaced and 0 < reasons(n) <= times]
        if banned:
            self._refuse(banned)
        if ended:
            self._writer.held.update(ended)
            self._after_commit(partial(self._let_in, ended))
        if batch.read_at is not None:
            for _ in banned:
                self._metrics.latency.observe(time.time() - batch.read_at)

    def _refuse(self, networks: list[Network]) -> None:
        if len(networks) > MOST_SINGLE:
            self.mark_due(networks)
            self._background.spawn(self.reconcile())
        elif not self.suspended:
            failed = self._routes.ban(n for n in networks if n != CANARY and n not in self.exempted)
            for network, error in failed.items():
                _log.error("ban %s: %s", network, error)
            self._metrics.kernel_errors.inc(len(failed))

    def _let_in(self, networks: list[Network]) -> None:
        self._writer.held.difference_update(networks)
        # An exemption may have been added since: a reconcile that ran meanwhile left the entry as it was.
        if len(networks) > MOST_SINGLE or not self.exempted.isdisjoint(networks):
            self.mark_due(networks)
            self._background.spawn(self.reconcile())
        elif not self.suspended:
            for network in networks:
                if network != CANARY and network not in self.exempted and not self._table.stands(network):
                    try:
                        self._routes.unban(network)
                    except KernelError as error:
                        _log.error("unban %s: %s", network, error)

    def mend(self, changed: Mapping[Network, Entry | None]) -> None:
        """Restore entries that another program changed, or removed (None)."""
        if not (self.suspended or self._marker.is_suspended):
            try:
                self._routes.mend(changed)
            except KernelError as error:
                _log.error("repair of routes: %s", error)
        self._count_drift()

    def _count_drift(self) -> None:
        """Count and log what other programs changed. It was restored."""
        routes, self._writer.changed_externally = self._writer.changed_externally, 0
        self._drifted("route", routes)
        self._drifted("rule", self._attachment.take_lost())

    def _drifted(self, kind: str, number: int) -> None:
        if number:
            self._metrics.drift.labels(kind).inc(number)
            what = "ingress rule" if kind == "ingress" else kind
            _log.warning("removed or changed externally: %s; restored", counted(number, what))

    async def mend_attachment(self) -> None:
        """Restore missing attachments."""
        try:
            await run_uncancellable(self._attachment.keep)
        except KernelError as error:
            _log.error("%s", error)

    async def keep_ingress(self) -> None:
        """Drop incoming packets of banned senders."""
        self._drifted("ingress", await run_uncancellable(self._attachment.keep_ingress))

    async def count_dropped(self) -> None:
        """Count the incoming packets dropped since the last call."""
        self._metrics.ingress_dropped.inc(await run_uncancellable(self._attachment.dropped))

    def ways(self) -> tuple[Way, ...]:
        """How incoming packets of banned senders are dropped on each interface with a default route."""
        return self._backend.ways()

    def changes(self) -> Changes | None:
        """Announcements of changes by other programs, None if the backend has none. KernelError."""
        return self._backend.changes()

    async def reconcile(self, *, keep_unknown: bool = False) -> int:
        """Attach, and write the difference between ban table and kernel. One reconcile at a time. Returns the
        number of written entries. Errors are logged and counted; the check every minute retries.

        `keep_unknown`, at the start, keeps routes that the table does not know until `forget_unknown`: after
        a crash, their log lines may still be unread.
        """
        try:
            async with self._turn:
                await run_uncancellable(self._heed_marker)
                if self.suspended:
                    return 0
                made = await self._routes.make_good(keep_unknown=keep_unknown)
                await run_uncancellable(self._heed_marker)
        except KernelError as error:
            self._metrics.kernel_errors.inc()
            _log.error("%s", error)
            return 0
        finally:
            self._count_drift()
        for fault in made.faults[:10]:
            _log.error("route: %s", fault)
        self._metrics.kernel_errors.inc(len(made.faults))
        return made.written

    def forget_unknown(self) -> None:
        """All bans of earlier runs are known now: unknown entries are to be removed. The caller
        reconciles."""
        self._routes.forget_unknown()

    def _heed_marker(self) -> None:
        """Suspend if another process has flushed, otherwise attach. Blocks."""
        if self._marker.is_suspended:
            with self._attachment.gate:
                left, self._writer.stopped = self.suspended and self._left, True
                if not (left or self.dry):
                    self._leave()
        else:
            self._attachment.keep()

    async def check(self) -> EnforcementStatus:
        """Read the entries in the kernel, write missing ones, and look up some banned networks. KernelError
        if the kernel cannot be read."""
        await run_uncancellable(self._heed_marker)
        # While another reconcile is writing, entries may be missing because of that.
        looks_on = self.dry or self.suspended or self._turn.locked()
        if looks_on:
            wanted = self._routes.wanted()
            absent = lacking = set((await run_uncancellable(self._backend.differs, wanted)).add)
            missing = absent & {CANARY}
        else:
            async with self._turn:
                made = await self._routes.make_good()
            self._count_drift()
            wanted, lacking = dict(made.wanted), set(made.lacking)
            absent = made.wanted.keys() & made.refused.keys()
            missing = {network for network in absent if self._routes.wish(network) is not None}
        present = {n: entry for n, entry in wanted.items() if n not in absent} if absent else wanted
        newest = self._table.newest(_NEWEST)
        seen = await run_uncancellable(look, self._backend, present, newest, self.exempted, lacking)
        status = found(seen, missing, len(wanted), self._table, self.exempted)
        if self.dry:
            return EnforcementStatus((DRY_RUN,), (), status.counts)
        reasons = (SUSPENDED,) if self.suspended else status.missing
        return EnforcementStatus(reasons, (*status.doubts, *self._attachment.unkept), status.counts)

    def can_write(self) -> bool:
        """Whether the process may write routes. Changes nothing."""
        return self._backend.can_write()

    async def let_in(self, banned: Collection[Network]) -> dict[Network, str]:
        """Those of these banned networks that the kernel has a route to now, each with a sentence. Takes some
        20 us each. KernelError."""
        if self.dry:
            return dict.fromkeys(banned, DRY_RUN)
        return await run_uncancellable(let_in, self._backend, banned, self.exempted)

    async def banned_in_kernel(self) -> set[Network]:
        """The networks that entries of zmban refuse, without the canary; none in a dry run. Takes a second
        for a million."""
        return set() if self.dry else await run_uncancellable(self._banned_in_kernel)

    def _banned_in_kernel(self) -> set[Network]:
        return {n for n, entry in self._routes.present().items() if entry is Entry.BAN and n != CANARY}

    def suspend(self) -> int:
        """Remove all entries of zmban from the kernel, and write nothing until `resume`, also after a
        restart. Returns the number of removed entries. Blocks."""
        self._marker.suspend()
        self._writer.stopped = True
        with self._attachment.gate:
            return self._leave()

    def _leave(self) -> int:
        self._left = False
        self._routes.forget_unknown()
        self._attachment.forget()
        removed = self._backend.flush()
        # After an error, the next check retries.
        self._left = True
        return removed

    def resume(self) -> None:
        """Permit writing again; the caller reconciles."""
        self._marker.resume()
        self._writer.stopped = False

    def close(self, *, flush: bool) -> None:
        """Close the backend; with `flush` remove all entries of zmban first."""
        with self._attachment.gate:
            if flush:
                self._backend.flush(list(self._table.refused()), everywhere=False)
            self._backend.close()
