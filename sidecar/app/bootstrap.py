"""The composition root: builds all components of the service. It knows all of them; none knows it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.app.active import ActiveConfiguration
from sidecar.app.background import BackgroundTasks
from sidecar.app.bans.expiry import ExpiryTask
from sidecar.app.bans.salvage_merger import SalvageMerger
from sidecar.app.bans.widening_task import WideningTask
from sidecar.app.bus import Bus
from sidecar.app.config_reload import Reload
from sidecar.app.enforce.drift import DriftRepair
from sidecar.app.enforce.enforcement_status import NOT_VERIFIED
from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.enforce.leak_detector import LeakDetector
from sidecar.app.enforce.verifier import Verifier
from sidecar.app.evidence.peer_evidence import PeerEvidence
from sidecar.app.ingest.gone_logs import GoneLogs
from sidecar.app.ingest.known_good_reader import KnownGoodReader
from sidecar.app.ingest.log_manager import LogManager
from sidecar.app.ingest.log_zones import LogZones
from sidecar.app.ingest.processor import Processor
from sidecar.app.live.event_feed import EventFeed
from sidecar.app.live.rates import Rates
from sidecar.app.notify.announcer import Announcer
from sidecar.app.notify.message_queue import MessageQueue
from sidecar.app.periodic import Periodic
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.persist.memory import PROXY_ACCOUNT, Memory, restored
from sidecar.app.persist.memos import Memos
from sidecar.app.persist.store_health import StoreHealth
from sidecar.app.persist.upkeep import DatabaseUpkeep
from sidecar.app.protect.allow_list import AllowList
from sidecar.app.protect.protection import Protection
from sidecar.app.protect.ssh_sessions import SshSessions
from sidecar.app.protect.zimbra_trust import ZimbraTrust
from sidecar.app.report.ban_log import BanLog
from sidecar.app.report.refusal_log import RefusalLog
from sidecar.app.review.decision_recorder import DecisionRecorder
from sidecar.app.review.refused_domains import RefusedDomains
from sidecar.app.runtime_options import RuntimeOptions
from sidecar.configuration.loading import Loaded
from sidecar.host.resolver import Resolver
from sidecar.kernel import registry
from sidecar.model import Failure, Instant
from sidecar.serve.metrics import Metrics
from sidecar.store.changes import Change, Login
from sidecar.store.database import Zone


@dataclass(frozen=True)
class Components:
    """All components, for `daemon.py`, `doors.py` and tests. No component holds it."""

    options: RuntimeOptions
    started: Instant
    active: ActiveConfiguration
    memory: Memory
    background: BackgroundTasks
    periodic: Periodic
    bus: Bus
    metrics: Metrics
    commit_queue: CommitQueue
    upkeep: DatabaseUpkeep
    store_health: StoreHealth
    allow_list: AllowList
    memos: Memos
    enforcer: Enforcer
    protection: Protection
    resolver: Resolver
    logs: LogManager
    gone_logs: GoneLogs
    leaks: LeakDetector
    verifier: Verifier
    drift: DriftRepair
    refusals: RefusalLog
    feed: EventFeed
    rates: Rates
    peer_evidence: PeerEvidence
    refused_domains: RefusedDomains
    messages: MessageQueue
    announcer: Announcer
    recorder: DecisionRecorder
    expiry: ExpiryTask
    widening: WideningTask
    salvage: SalvageMerger
    zimbra_trust: ZimbraTrust
    sessions: SshSessions
    reload: Reload

    def not_ready(self) -> list[str]:
        """Why the service is not ready: jails that cannot run, logs not read yet, a missing canary route, a
        full disk. Reads memory only."""
        reasons = [*self.active.loaded.jails.why_stopped(), *self.logs.not_ready()]
        if self.commit_queue.failing:
            reasons.append(self.commit_queue.failing)
        return reasons if self.enforcer.dry else [*reasons, *self.verifier.status.missing]


def _logs(
    active: ActiveConfiguration,
    memory: Memory,
    protection: Protection,
    resolver: Resolver,
    queue: CommitQueue,
    bus: Bus,
    background: BackgroundTasks,
    metrics: Metrics,
    periodic: Periodic,
) -> LogManager:
    """What reads the logs, up to the decision."""
    zones = LogZones(active.zone, memory.zones, queue)
    known_good = KnownGoodReader(active, memory.known_good, memory.suspects, protection, queue)
    processor = Processor(active, memory.engine, bus, known_good, zones, resolver, background, metrics)
    return LogManager(active, memory.suspects.trust, processor, zones, known_good, queue, metrics, periodic)


def _announcer(
    active: ActiveConfiguration, memory: Memory, memos: Memos, messages: MessageQueue, verifier: Verifier,
    enforcer: Enforcer, refusals: RefusalLog,
) -> Announcer:  # fmt: skip
    """What tells of events by webhook and mail."""

    def missing() -> tuple[str, ...] | None:
        unknown = enforcer.dry or verifier.status.missing == (NOT_VERIFIED,)
        return None if unknown else verifier.status.missing

    return Announcer(active, memory.known_good.clients, memos, messages, missing, refusals.proxies)


class PlaceDoubts:
    """Problems of the place where the service runs: network namespace, containers, table lock."""

    def __init__(self, options: RuntimeOptions, protection: Protection) -> None:
        self._options, self._protection = options, protection

    def missing(self) -> tuple[str, ...]:
        """Why bans have no effect here. Empty in a dry run."""
        return () if self._options.dry_run else self._protection.environment.namespace.missing

    def doubts(self) -> tuple[str, ...]:
        """Possible problems."""
        if self._options.dry_run:
            return ()
        return (*self._protection.environment.namespace.doubts, *self._options.doubts)


def build(loaded: Loaded, options: RuntimeOptions) -> Components:
    """Build a service without starting it. LaterError if the database is of a later version."""
    started, background, bus, metrics = time.time(), BackgroundTasks(), Bus(), Metrics()
    periodic, resolver = Periodic(metrics), Resolver()
    active = ActiveConfiguration(loaded, dry_run=options.dry_run)
    memory = restored(options.state, active)
    engine, suspects, register = memory.engine, memory.suspects, memory.register
    queue = CommitQueue(memory.store, background, metrics.stages["commit"].observe)
    upkeep = DatabaseUpkeep(queue, metrics)
    allow_list, memos = AllowList(memory.allowed, queue), Memos(memory.memos, queue)
    messages, refusals = MessageQueue(memos, metrics.lost_notifications), RefusalLog(metrics)
    backend = registry.make(active.settings.kernel, registry.DRY_RUN if options.dry_run else None)
    enforcer = Enforcer(backend, register.table, options.state, queue.after_commit, background, metrics)
    protection = Protection(
        active, engine, enforcer, allow_list, suspects, resolver, queue, background, metrics
    )
    logs = _logs(active, memory, protection, resolver, queue, bus, background, metrics, periodic)
    leaks = LeakDetector(register.table, enforcer, metrics, started)
    place, widening = PlaceDoubts(options, protection), WideningTask(engine, memos, bus)
    doubts = (place.doubts, logs.unread_files, messages.doubts)
    verifier = Verifier(enforcer, metrics, missing=(leaks.reasons, place.missing), doubts=doubts)
    found = Components(
        options=options, started=started, active=active, memory=memory, background=background,
        periodic=periodic, bus=bus, metrics=metrics, commit_queue=queue, upkeep=upkeep,
        store_health=StoreHealth(options.state, queue, upkeep, metrics), allow_list=allow_list, memos=memos,
        enforcer=enforcer, gone_logs=GoneLogs(active, logs, memos, queue, memory.zones),
        protection=protection, resolver=resolver, logs=logs, leaks=leaks, verifier=verifier,
        refusals=refusals, feed=EventFeed(started), rates=Rates(memos), peer_evidence=PeerEvidence(queue),
        messages=messages, refused_domains=RefusedDomains(active),
        drift=DriftRepair(enforcer, background, protection.look_around),
        announcer=_announcer(active, memory, memos, messages, verifier, enforcer, refusals),
        recorder=DecisionRecorder(active, memory.known_good.clients, memos),
        expiry=ExpiryTask(active, engine, bus, allow_list, protection, enforcer, upkeep, widening),
        widening=widening,
        salvage=SalvageMerger(active, engine, suspects, allow_list, memos, protection, enforcer, queue, bus),
        zimbra_trust=ZimbraTrust(active, protection),
        sessions=SshSessions(lambda: active.settings.trust.ssh_ports, engine),
        reload=Reload(active, engine, protection, logs, enforcer, queue, bus, metrics),
    )  # fmt: skip
    return _connected(found)


def _connected(found: Components) -> Components:
    _subscribe(found)
    _schedule(found)
    _measure(found)
    found.commit_queue.snapshot_from(lambda: _snapshot(found))
    return found


def _subscribe(all_of: Components) -> None:
    """Subscribe components to the bus. The order ensures durability: changes are noted before the kernel is
    changed, so that an unban is committed before its route is removed; a ban is written to the kernel at once
    and committed within a second."""
    all_of.bus.subscribe(
        all_of.metrics,
        all_of.commit_queue,
        BanLog(),
        all_of.refusals,
        all_of.memory.suspects,
        all_of.enforcer,
        all_of.leaks,
        all_of.feed,
        all_of.rates,
        all_of.announcer,
        all_of.recorder,
    )


def _schedule(all_of: Components) -> None:
    """Register all periodic jobs."""
    every = all_of.periodic.every
    every(0.5, "commit", all_of.commit_queue.commit_again)
    every(1.0, "expiry", all_of.expiry.look)
    every(1.0, "widening", all_of.widening.look, at_once=True)
    every(600.0, "prune", all_of.expiry.prune)
    every(3600.0, "gone logs", all_of.gone_logs.look)
    every(5.0, "verify", all_of.verifier.look, at_once=True)
    every(60.0, "reconcile", all_of.drift.check)
    every(30.0, "ssh sessions", all_of.sessions.look, at_once=True)
    every(120.0, "zimbra trust", all_of.zimbra_trust.look, at_once=True)
    every(10.0, "rates", all_of.rates.save)
    every(60.0, "decision notes", all_of.recorder.save)
    every(1.0, "notifications", all_of.announcer.collect)
    every(0.5, "salvage", all_of.salvage.look, at_once=True)


def _measure(all_of: Components) -> None:
    """Set the functions that the metrics call at each scrape."""
    metrics, enforcer = all_of.metrics, all_of.enforcer
    metrics.ready.set_function(lambda: float(not all_of.not_ready()))
    metrics.suspended.set_function(lambda: float(enforcer.suspended))
    metrics.dry_run.set(enforcer.dry)
    metrics.notifications_waiting.set_function(lambda: len(all_of.messages))
    metrics.sources.ask = all_of.logs.sources_by_label
    queues = {
        "commit": lambda: all_of.commit_queue.waiting, "routes": lambda: enforcer.due,
        "names": lambda: all_of.resolver.waiting, "tasks": lambda: all_of.background.running,
    }  # fmt: skip
    for name, length in queues.items():
        metrics.queues.labels(name).set_function(length)
    engine, known_good = all_of.memory.engine, all_of.memory.known_good
    metrics.known_good.labels("client").set_function(lambda: len(known_good.clients))
    metrics.known_good.labels("mail-server").set_function(lambda: len(known_good.mail_servers))
    metrics.widened.set_function(lambda: len(engine.widening.widened))
    metrics.sprayed.set_function(lambda: engine.spray.attacked(time.time()))
    metrics.standing.ask = lambda: all_of.memory.register.table


def _snapshot(all_of: Components) -> Iterator[Change]:
    """Everything in memory that belongs in the database. Must be consumed without an await in between."""
    memory = all_of.memory
    yield from all_of.allow_list
    yield from all_of.memos
    yield from memory.register.table
    for name, jail in memory.engine.jails.items():
        for network, at, line in jail.window.failures():
            yield Failure(name, network, at, line)
    yield from (Login(*one) for one in memory.known_good.all())
    yield from (Login(network, PROXY_ACCOUNT, at) for network, at in memory.suspects.noted())
    for path, log in all_of.logs.logs.items():
        if log.clock is not None and log.clock.learnt is not None:
            yield Zone(path, log.clock.learnt)
