"""The service: builds the rooms, connects them with one stream of events, and supervises."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from datetime import tzinfo
from functools import partial
from typing import TYPE_CHECKING, Any

from sidecar.app.background import until_cancelled
from sidecar.app.bans.expiry import ExpiryTask
from sidecar.app.enforce import adoption
from sidecar.app.enforce.drift import Drift
from sidecar.app.enforce.enforcer import MOST_SINGLE, Enforcer
from sidecar.app.enforce.leak_detector import LeakDetector
from sidecar.app.enforce.verifier import Verifier
from sidecar.app.ingest import log_manager
from sidecar.app.ingest.past_logins import Goods
from sidecar.app.ingest.resolver import Resolver
from sidecar.app.options import RuntimeOptions, backend, run_dry
from sidecar.app.persist import recovery
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.persist.salvage_merger import Salvaging, snapshot
from sidecar.app.protect import protection, suspecting
from sidecar.app.protect.ignore_lists import IgnoreLists
from sidecar.app.protect.ssh_sessions import Sessions
from sidecar.app.protect.zimbra_trust import MailTrust
from sidecar.app.report import ban_log
from sidecar.app.report.refusal_log import RefusalLog
from sidecar.bans.guard import Guard
from sidecar.bans.history import History
from sidecar.bans.table import BanTable
from sidecar.configuration import loading
from sidecar.configuration.loading import Loaded
from sidecar.decide.engine import DecisionEngine
from sidecar.detect.count.evidence import Evidence
from sidecar.host import environment, regex_budget
from sidecar.kernel.ingress import Ingress
from sidecar.model import Ban, Event, Extended, Failure, FailuresCleared, KernelError, Match, Unban
from sidecar.network import Network
from sidecar.offline import emergency_flush
from sidecar.serve.metrics import Metrics
from sidecar.store.database import Allowed, DamagedError

if TYPE_CHECKING:
    from sidecar.app.pages import Pages

_log = logging.getLogger("zmban")

_RECONCILE_SECONDS = 60.0
_SESSIONS_SECONDS = 30.0


class Service:
    """One running zmban. `events` go to store, kernel, metrics and log in `publish`, and nowhere else."""

    def __init__(self, loaded: Loaded, place: RuntimeOptions) -> None:
        self.settings = loaded.settings
        self.place = place
        self.loaded = loaded
        self.pages: Pages | None = None
        self.jails = run_dry(loaded.jails.jails, dry=place.dry_run)
        self.zone: tzinfo = loading.host_zone()
        self.metrics = Metrics()
        self.enforcer = Enforcer(
            backend(self.settings, dry=place.dry_run),
            backend(self.settings, dry=place.dry_run),
            place.state,
            partial(emergency_flush.remove_all, self.settings.kernel),
            None if place.dry_run else Ingress(self.settings.kernel.ingress),
        )
        self.ledger = CommitQueue(recovery.opened(place.state), lambda: snapshot(self))
        self.table = BanTable()
        self.evidence = Evidence.on_disk(place.state)
        self.judge = self._judge(None)
        self.trust = loading.trust(self.settings)
        self.suspects = suspecting.watched(self)
        self.resolver = Resolver()
        self.sessions = Sessions(self.settings.trust.ssh_ports)
        self.ignoring = IgnoreLists(self.jails.values(), self.resolver)
        self.allowed: dict[Network, Allowed] = {}
        self.surroundings = environment.HostEnvironment({})
        # The proxies that Zimbra itself believes.
        self.believed: set[Network] = set()
        self.goods = Goods(self)
        self.logs = log_manager.LogManager(self)
        self.drift = Drift(self)
        self.witnesses = LeakDetector(self)
        self.verifier = Verifier(self)
        self.oddities = RefusalLog(self.metrics)
        self.started = time.time()
        self.salvaging = Salvaging(self)
        self.salvaging.watch()
        # Held by whoever finds out what is to be protected, or takes over another configuration.
        self.arranging = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Bring back what stood, and make the kernel say so, before anything is read."""
        self.jails |= await self.ignoring.look()
        self.surroundings = await environment.look(self.settings, self.jails.values())
        try:
            self.restore()
        except DamagedError as error:
            self.ledger.database.close()
            self.ledger.begin(recovery.replaced(self.place.state, error))
            self.restore()
        protection.protect(self)
        if self.ledger.store.lost:
            await adoption.adopt(self, self.ledger.store.lost)
        applied = await self.reconcile(keep_unknown=True)
        _log.info("%d bans stand; %d routes written", len(self.table), applied)
        self.configured()

    def configured(self) -> None:
        """The configuration was read: the metrics say so."""
        found = self.loaded.jails
        self.metrics.begin(self.jails)
        self.metrics.configured(found.jails, found.degraded, found.stopped, self.loaded.errors)

    def _judge(self, history: History | None) -> DecisionEngine:
        good = self.settings.good
        return DecisionEngine(self.jails.values(), Guard({}), self.table, history, self.evidence, good)

    def restore(self) -> None:
        """Bans, failures and allowed networks from the database; what ended meanwhile ends now."""
        database, now = self.ledger.database, time.time()
        self.table = BanTable(database.standing())
        self.judge = self._judge(None)
        self.judge.history = History(database.counts() if self.judge.grows else ())
        self.goods.restore()
        for failure in database.failures():
            court = self.judge.courts.get(failure.jail)
            if court is not None and failure.at > now - court.spec.findtime:
                self.judge.restore(failure)
        self.allowed = {a.network: a for a in database.allowed() if a.until is None or a.until > now}
        if beyond := database.beyond():
            text = "%d bans of the database end after the year 9999: they are for ever; zmban unban lifts one"
            _log.warning(text, beyond)
        self.publish(self.table.expire(now))

    async def reconcile(self, *, keep_unknown: bool = False) -> int:
        """Write the difference; how many routes that were. Never raises: it is tried again."""
        try:
            applied = await self.enforcer.reconcile(self.table, keep_unknown=keep_unknown)
        except KernelError as error:
            self.metrics.kernel_errors.inc()
            _log.error("%s", error)
            return 0
        finally:
            self.drift.tell()
        self.metrics.kernel_errors.inc(len(applied.faults))
        return applied.added + applied.removed

    def publish(self, events: Iterable[Event | Match], *, again: bool = False) -> None:
        """The one stream: every event to metrics, log and ledger, and its consequence to the kernel. What
        stands `again`, out of a damaged database, is neither counted nor told."""
        events = list(events)
        new = Counter(e.network for e in events if isinstance(e, Ban) and not e.dry)
        # One that another reason refuses already has its route; writing it anew would open it for a moment.
        banned = [network for network, times in new.items() if 0 < self.table.reasons(network) <= times]
        known = {
            e.network for e in events if isinstance(e, Ban) and not e.dry and (again or e.origin == "log")
        }
        given_way = [unban for n in known for unban in self.table.give_way(n, time.time())]
        events += given_way
        told = given_way if again else events
        self.metrics.observe(told)
        self.ledger.add(
            [e for e in events if isinstance(e, Failure | FailuresCleared | Ban | Extended | Unban)]
        )
        ended: list[Network] = []
        for event in events:
            if isinstance(event, Unban):
                self.judge.ended(event)
                if not self.table.stands(event.network):
                    ended.append(event.network)
        ban_log.tell(told)
        self.oddities.hear(events)
        self.suspects.hear(events)
        if new or ended:
            self.metrics.active(self.table)
        if len(banned) > MOST_SINGLE:
            self.enforcer.mark_due(banned)
            self.later(self.reconcile())
        elif banned and not self.enforcer.suspended:
            failed = sum(n not in self.enforcer.throws for n in banned) - self.enforcer.ban(banned)
            self.metrics.kernel_errors.inc(max(0, failed))
        if ended:
            self.enforcer.hold(ended)
            self.later(self._let_in(ended))

    def later(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do this beside everything else; the service waits for it before it stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Until what was published has reached the kernel."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _let_in(self, networks: list[Network]) -> None:
        """An unban commits first: after a crash a route too many is repaired, a lost unban is not."""
        await self.ledger.commit()
        self.enforcer.release(networks)
        if len(networks) > MOST_SINGLE:
            self.enforcer.mark_due(networks)
            await self.reconcile()
        else:
            self.enforcer.unban([n for n in networks if not self.table.stands(n)])

    async def run(self, at_stop: Callable[[], None] = lambda: None) -> None:
        """Until cancelled; `at_stop` is called when that begins. A part that ends with an error ends the
        service: it is restarted whole."""
        async with AsyncExitStack() as stack:
            stack.enter_context(regex_budget.kept())
            stack.push_async_callback(self._stop)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.ledger.run(), name="commit")
                tasks.create_task(self.logs.run(), name="logs")
                tasks.create_task(ExpiryTask(self).run(), name="ends")
                tasks.create_task(self.verifier.run(), name="verify")
                tasks.create_task(self._reconciled(), name="reconcile")
                tasks.create_task(self.drift.run(), name="drift")
                tasks.create_task(self._sessions_seen(), name="sessions")
                tasks.create_task(MailTrust(self).run(), name="mail trust")
                tasks.create_task(self.salvaging.run(), name="salvage")
                tasks.create_task(until_cancelled(at_stop), name="doors")

    async def _reconciled(self) -> None:
        """The first full reconcile once the backlog is read: unknown blackholes of ours go then."""
        await self.logs.caught_up.wait()
        self.enforcer.forget_unknown()
        await self.reconcile()
        while True:
            await asyncio.sleep(_RECONCILE_SECONDS)
            await self.drift.check()

    async def _sessions_seen(self) -> None:
        while True:
            self.judge.admins = await self.sessions.look(time.time())
            await asyncio.sleep(_SESSIONS_SECONDS)

    async def _stop(self) -> None:
        await self.settled()
        await self.ledger.commit()
        self.ledger.database.close()
        self.resolver.close()
        self.enforcer.close(flush=self.settings.kernel.on_stop == "flush" and not self.enforcer.suspended)

    def ready(self) -> list[str]:
        """Why not: jails that cannot run, logs not read yet, the canary route not in place, the disk full.
        Reads memory only."""
        reasons = [*self.loaded.jails.why_stopped(), *self.logs.unread()]
        if self.ledger.failing:
            reasons.append(self.ledger.failing)
        if not self.enforcer.dry:
            reasons += self.enforcer.missing
        return reasons
