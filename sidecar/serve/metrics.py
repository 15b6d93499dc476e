"""The metrics of docs/metrics.md for Prometheus. No label holds an address or a user."""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Callable, Collection, Iterable
from operator import attrgetter
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from sidecar import __version__
from sidecar.model import Ban, Batch, Event, Failure, Instant, Match, Refused, Slow, Unban
from sidecar.serve.scrape_collectors import ScrapedValues, SourceStates, StandingBans

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here
# Refusals that alerts ask for: a series that begins above 0 hides its first increase.
_ALERTING_REFUSALS = ("framed", "gateway", "masked", "untrusted-proxy")
_LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_STAGE_TIMES = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)
_LATE = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)


# Parts of the work whose time is measured, each once per block, transaction or check and never per line.
STAGES = ("sift", "match", "commit", "reconcile", "verify")
RELOAD_RESULTS = ("reloaded", "refused", "failed")
UNBAN_REASONS = ("expired", "manual", "replaced", "reload", "shrunk", "other")


# The labels of an event.
_JAIL, _JAIL_AND_REASON, _JAIL_AND_ORIGIN = (
    attrgetter("jail"),
    attrgetter("jail", "reason"),
    attrgetter("jail", "origin"),
)


def _end(unban: Unban) -> str:
    return unban.reason if unban.reason in UNBAN_REASONS else "other"


def _count(
    counter: Counter, labels: Callable[[Any], str | tuple[str, ...]], events: Iterable[Event | Match]
) -> None:
    for values, number in Counted(map(labels, events)).items():
        counter.labels(*((values,) if isinstance(values, str) else values)).inc(number)


class Metrics:
    """All metrics in one registry. Counters start at 0, so that Prometheus sees the first increase."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.sources, self.standing = SourceStates(), StandingBans()
        self.registry.register(self.sources)
        self.registry.register(self.standing)
        self._add_logs()
        self._add_bans()
        self._add_kernel()
        self._add_times()
        self._add_configuration()
        self._add_cluster()
        self._add_service()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"zmban_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"zmban_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"zmban_{name}", text, labels, buckets=buckets, registry=self.registry)

    def _add_logs(self) -> None:
        counter, gauge = self._counter, self._gauge
        self.lines = counter("lines", "Lines read", "source")
        self.bytes = counter("bytes", "Bytes read", "source")
        self.lag = gauge("source_lag_seconds", "How far reading is behind the end of the log", "source")
        self.last_line = gauge("source_last_line_timestamp_seconds", "When a line was last read", "source")
        self.read_errors = counter("source_errors", "Failed attempts to read the log", "source")
        self.matches = counter("matches", "Lines that a failregex matched", "jail")
        self.slow = counter("slow_regex", "Lines on which a regex exceeded its time budget", "jail")
        self.masked = counter("masked_clients", "Failures whose client is hidden by a trusted proxy")
        text = "Peers on own networks that act as proxies but are not trusted: no log bans them"
        self.suspected = gauge("suspected_proxies", text)

    def _add_bans(self) -> None:
        counter = self._counter
        self.failures = counter("failures", "Failures that counted", "jail")
        self.bans = counter("bans", "Bans", "jail", "origin")
        self.unbans = counter("unbans", "Bans that ended", "jail")
        # Not a label of `unbans`: that has one series for each jail.
        self.unban_reasons = counter("unban_reasons", "Bans that ended, by the reason of the end", "reason")
        for reason in UNBAN_REASONS:
            self.unban_reasons.labels(reason)
        self.refused = counter("refused", "Bans and failures refused", "jail", "reason")
        text = "Bans that were decided and recorded, but not enforced"
        self.dry_bans = counter("dry_bans", text, "jail", "origin")
        self.still_seen = counter("still_seen", "Lines of clients that were banned over 10 s ago", "jail")
        text = "Time from reading the line to the route in the kernel"
        self.latency = self._histogram("ban_latency_seconds", text, _LATENCIES)
        gauge = self._gauge
        self.known_good = gauge("known_good", "Known-good clients and mail servers", "kind")
        self.widened = gauge("widened_networks", "Whole prefixes that are banned because of bans inside")
        text = "Accounts tried from ten or more addresses within a day"
        self.sprayed = gauge("accounts_under_attack", text)

    def _add_kernel(self) -> None:
        counter, gauge = self._counter, self._gauge
        text = "Blackhole routes of bans in the kernel, without the canary"
        self.table_routes = gauge("table_routes", text, "family")
        self.table_addresses = gauge("table_addresses", "Addresses that these routes cover", "family")
        text = "Routes and rules of zmban that were removed or changed externally"
        self.drift = counter("kernel_drift", text, "kind")
        self.kernel_errors = counter("kernel_errors", "Failed writes to the kernel")
        text = "Incoming packets of banned networks dropped by the ingress rule"
        self.ingress_dropped = counter("ingress_dropped_packets", text)
        self.enforced = gauge("enforced", "1 if the kernel enforces the bans, 0 if not")
        self.dry_run = gauge("dry_run", "1 if the service runs with --dry-run and writes no routes")
        self.suspended = gauge("suspended", "1 between zmban flush and zmban resume")

    def _add_times(self) -> None:
        text = "Time of one block (sift, match), transaction (commit) or check (reconcile, verify)"
        times = self._histogram("stage_duration_seconds", text, _STAGE_TIMES, "stage")
        self.stages = {stage: times.labels(stage) for stage in STAGES}
        text = "How late periodic jobs begin, because the event loop is busy or the process has no CPU"
        self.loop_lag = self._histogram("event_loop_lag_seconds", text, _LATE)
        text = "Changes to commit, routes to write, host names to look up, background tasks"
        self.queues = self._gauge("queue_length", text, "queue")

    def _add_configuration(self) -> None:
        counter, gauge = self._counter, self._gauge
        text = "Jails that run, that run without a faulty part, that cannot run"
        self.jails = gauge("jails", text, "state")
        self.config_faults = gauge("config_faults", "Faults in the configuration, without warnings")
        self.reload_good = gauge("config_last_reload_successful", "1 if the last load found no fault")
        self.reload_at = gauge("config_last_reload_timestamp_seconds", "When the configuration was loaded")
        self.reloads = counter("config_reloads", "Reloads of the configuration", "result")
        for result in RELOAD_RESULTS:
            self.reloads.labels(result)

    def _add_cluster(self) -> None:
        gauge = self._gauge
        text = "0 while a host of a cluster cannot reach the others, else 1"
        self.cluster_up = gauge("cluster_up", text)
        self.cluster_up.set(1)
        self.cluster_peers = gauge("cluster_peers", "Other hosts that were heard of within two minutes")
        text = "How old the last decision of another host was when it was applied, the most of all hosts"
        self.cluster_lag = gauge("cluster_lag_seconds", text)
        text = "Decisions of other hosts that wait because a host exceeds its quota"
        self.cluster_waiting = gauge("cluster_waiting", text)
        text = "Decisions of other hosts that were refused: not signed, not trusted, over the quota"
        self.cluster_refused = self._counter("cluster_refused", text, "reason")
        for reason in ("signature", "unknown-host", "quota"):
            self.cluster_refused.labels(reason)

    def _add_service(self) -> None:
        counter, gauge = self._counter, self._gauge
        self.ready = gauge("ready", "1 if /readyz answers 200, 0 if it answers 503")
        self.database_bytes = gauge("database_bytes", "Size of the database")
        self.log_bytes = gauge("database_wal_bytes", "Size of the write-ahead log of the database")
        self.history_rows = gauge("database_history_rows", "Ended bans in the history")
        text = "Problems of the database: failing writes, damaged files set aside, running salvages"
        self.store_failing = gauge("store_failing", text, "reason")
        text = "1 if counting logs for the daily review fails, or its report"
        self.review_failing = gauge("review_failing", text)
        # Not "job": Prometheus puts a label of that name on everything that it scrapes.
        self.job_errors = counter("job_errors", "Runs of a periodic job that failed", "task")
        text = "When a periodic job last succeeded"
        self.job_last_run = gauge("job_last_run_timestamp_seconds", text, "task")
        text = "Messages by webhook or mail: sent, failed attempts, and those that a target will not get"
        self.notifications = counter("notifications", text, "target", "result")
        for target in ("webhook", "mail"):
            for result in ("sent", "failed", "refused", "dropped", "expired"):
                self.notifications.labels(target, result)
        self.notifications_waiting = gauge("notifications_waiting", "Messages that wait to be sent")
        gauge("build_info", "Version of zmban", "version").labels(__version__).set(1)

    def add_jails(self, jails: Iterable[str]) -> None:
        """Create the series of these jails at 0."""
        for jail in jails:
            for metric in (self.matches, self.failures, self.unbans, self.slow, self.still_seen):
                metric.labels(jail)
            for counter in (self.bans, self.dry_bans):
                counter.labels(jail, "log")
            for reason in _ALERTING_REFUSALS:
                self.refused.labels(jail, reason)
            self.standing.jails.add(jail)
        for kind in ("route", "rule", "ingress"):
            self.drift.labels(kind)
        self.bans.labels("manual", "manual")
        self.unbans.labels("manual")

    def configured(
        self, jails: Collection[str], degraded: Collection[str], stopped: Collection[str], faults: int
    ) -> None:
        """Set the metrics of a loaded configuration: states of the jails, number of faults."""
        states = {"running": len(jails) - len(degraded), "degraded": len(degraded), "stopped": len(stopped)}
        for state, number in states.items():
            self.jails.labels(state).set(number)
        self.config_faults.set(faults)
        self.reload_good.set(0 if faults else 1)
        self.reload_at.set_to_current_time()

    def reloaded(self, result: str) -> None:
        """Count a reload; `result` is one of RELOAD_RESULTS."""
        self.reloads.labels(result).inc()
        if result != "reloaded":
            self.reload_good.set(0)

    def add_source(self, source: str) -> None:
        """Create the series of a log at 0, before its first line."""
        for metric in (self.lines, self.bytes, self.read_errors):
            metric.labels(source)

    def remove_source(self, source: str) -> None:
        """Remove the series of a log."""
        for metric in (self.lines, self.bytes, self.lag, self.last_line, self.read_errors):
            metric.remove(source)

    def handle(self, batch: Batch) -> None:
        """Count events. A subscriber of the bus."""
        new = batch.new
        unbans = [one for one in new.of(Unban) if not one.dry]
        _count(self.matches, _JAIL, new.of(Match))
        _count(self.failures, _JAIL, new.of(Failure))
        _count(self.slow, _JAIL, new.of(Slow))
        _count(self.refused, _JAIL_AND_REASON, new.of(Refused))
        _count(self.bans, _JAIL_AND_ORIGIN, [one for one in new.of(Ban) if not one.dry])
        _count(self.dry_bans, _JAIL_AND_ORIGIN, [one for one in new.of(Ban) if one.dry])
        _count(self.unbans, _JAIL, unbans)
        _count(self.unban_reasons, _end, unbans)

    def read(self, source: str, lines: int, size: int, lag: float, at: Instant) -> None:
        """Count one block of a log, read at `at`, `lag` seconds after it was written."""
        self.lines.labels(source).inc(lines)
        self.bytes.labels(source).inc(size)
        self.lag.labels(source).set(lag)
        self.last_line.labels(source).set(at)

    @staticmethod
    def by_label(counter: Counter | Gauge) -> dict[tuple[str, ...], float]:
        """The values of a counter by the values of its labels."""
        samples = (sample for metric in counter.collect() for sample in metric.samples)
        return {tuple(sample.labels.values()): sample.value for sample in samples}

    def lost_notifications(self, result: str, targets: Iterable[str]) -> None:
        """Count a message that these targets will not get. A target's name begins with its kind."""
        for target in targets:
            self.notifications.labels(target.partition(" ")[0], result).inc()

    def taken(self, accept: str = "") -> Callable[[], tuple[bytes, str]]:
        """Take all values now. The function that is returned formats them, which takes longer and may be done
        in a thread: bytes and content type, as OpenMetrics if the header Accept asks for it, otherwise in the
        text format of Prometheus."""
        encode, kind = choose_encoder(accept)
        values = ScrapedValues(self.registry)
        return lambda: (encode(values), kind)
