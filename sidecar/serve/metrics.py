"""The figures of contract.md for Prometheus; no label holds an address or a user."""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Callable, Collection, Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from sidecar import __version__
from sidecar.bans.table import BanTable
from sidecar.model import Ban, Event, Failure, Instant, Match, Refused, Slow, Unban

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here
_LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Sources(Collector):
    """Whether each log that a jail names is read, asked at each scrape: `ask` gives the reason why not."""

    def __init__(self) -> None:
        self.ask: Callable[[], Mapping[str, str | None]] = dict

    def collect(self) -> Iterable[Metric]:
        """One family, with a series for each log."""
        text = "1 if the log is followed, 0 if it is not there or cannot be read"
        family = GaugeMetricFamily("zmban_source_up", text, labels=["source"])
        for source, why in self.ask().items():
            family.add_metric([source], float(why is None))
        yield family


class Metrics:
    """One registry. Counters of a jail or source stand at 0 from the start, so that a first one is seen."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"zmban_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"zmban_{name}", text, labels, registry=registry)

        self.lines = counter("lines", "Lines read", "source")
        self.bytes = counter("bytes", "Bytes read", "source")
        self.matches = counter("matches", "Lines that a failregex matched", "jail")
        self.failures = counter("failures", "Failures that counted", "jail")
        self.bans = counter("bans", "Bans", "jail", "origin")
        self.unbans = counter("unbans", "Bans that ended", "jail")
        self.refused = counter("refused", "Bans and failures refused", "jail", "reason")
        self.bans_active = gauge("bans_active", "Bans that stand and are not suspended", "jail")
        self.bans_suspended = gauge(
            "bans_suspended", "Bans that stand and are not enforced: allowed, protected or ignored", "jail"
        )
        self.dry_bans = counter("dry_bans", "Bans that were decided and recorded only", "jail", "origin")
        self.dry_bans_active = gauge("dry_bans_active", "Dry bans that stand", "jail")
        self.table_routes = gauge("table_routes", "Blackhole routes of bans, read from the kernel", "family")
        self.table_addresses = gauge("table_addresses", "Addresses that they refuse", "family")
        self.slow = counter("slow_regex", "Lines on which a regex worked for too long", "jail")
        self.latency = Histogram(
            "zmban_ban_latency_seconds",
            "From reading the line to the route standing",
            buckets=_LATENCIES,
            registry=registry,
        )
        self.sources = _Sources()
        registry.register(self.sources)
        self.lag = gauge("source_lag_seconds", "How far the reading is behind the end of the log", "source")
        self.last_line = gauge("source_last_line_timestamp_seconds", "When a line last came", "source")
        self.still_seen = counter("still_seen", "Lines of clients who were banned over 10 s ago", "jail")
        self.masked = counter("masked_clients", "Failures whose client a proxy of ours hides")
        text = "Peers on our networks that speak for others and are no trusted proxies: no log bans them"
        self.suspected = gauge("suspected_proxies", text)
        self.drift = counter(
            "kernel_drift", "Routes and rules of ours that somebody removed or changed", "kind"
        )
        self.kernel_errors = counter("kernel_errors", "Writes that the kernel refused")
        self.ingress_dropped = counter("ingress_dropped_packets", "Packets of the banned dropped coming in")
        self.enforced = gauge("enforced", "1 if the kernel refuses what is banned, 0 if not")
        self.dry_run = gauge("dry_run", "1 if the service runs dry and leaves the kernel alone")
        self.suspended = gauge("suspended", "1 between zmban flush and zmban resume")
        self.ready = gauge("ready", "1 if /readyz answers 200, 0 if it answers 503")
        self.database_bytes = gauge("database_bytes", "Size of the database")
        text = "Why the database needs a look: 1 while nothing is written, damaged files that were set aside"
        self.store_failing = gauge("store_failing", text, "reason")
        self.jails = gauge(
            "jails", "Jails that run, that run without what is wrong, that cannot run", "state"
        )
        self.config_faults = gauge("config_faults", "What is wrong in the configuration, without warnings")
        self.reload_good = gauge("config_last_reload_successful", "1 if the last reading found no fault")
        self.reload_at = gauge("config_last_reload_timestamp_seconds", "When the configuration was read")
        gauge("build_info", "The version that runs", "version").labels(__version__).set(1)

    def begin(self, jails: Iterable[str]) -> None:
        """Make the series of these jails visible at 0."""
        for jail in jails:
            for metric in (self.matches, self.failures, self.unbans, self.slow, self.still_seen):
                metric.labels(jail)
            for counter in (self.bans, self.dry_bans):
                counter.labels(jail, "log")
            for gauge in (self.bans_active, self.bans_suspended, self.dry_bans_active):
                gauge.labels(jail)
        for kind in ("route", "rule", "ingress"):
            self.drift.labels(kind)
        self.bans.labels("manual", "manual")
        self.unbans.labels("manual")

    def configured(
        self, jails: Collection[str], degraded: Collection[str], stopped: Collection[str], faults: int
    ) -> None:
        """The configuration was read anew: which jails can run, and how much is wrong."""
        states = {"running": len(jails) - len(degraded), "degraded": len(degraded), "stopped": len(stopped)}
        for state, number in states.items():
            self.jails.labels(state).set(number)
        self.config_faults.set(faults)
        self.reload_good.set(0 if faults else 1)
        self.reload_at.set_to_current_time()

    def follow(self, source: str) -> None:
        """Make the series of a log visible at 0, before its first line."""
        for metric in (self.lines, self.bytes):
            metric.labels(source)

    def forget(self, source: str) -> None:
        """A log is gone, and so are its series."""
        for metric in (self.lines, self.bytes, self.lag, self.last_line):
            metric.remove(source)

    def observe(self, events: Iterable[Event | Match]) -> None:
        """Count events of the stream."""
        for (counter, labels), number in Counted(filter(None, map(self._series, events))).items():
            counter.labels(*labels).inc(number)

    def _series(self, event: Event | Match) -> tuple[Counter, tuple[str, ...]] | None:
        """The counter that an event belongs to, and its labels."""
        match event:
            case Match():
                return self.matches, (event.jail,)
            case Failure():
                return self.failures, (event.jail,)
            case Ban():
                return self.dry_bans if event.dry else self.bans, (event.jail, event.origin)
            case Unban(dry=False):
                return self.unbans, (event.jail,)
            case Refused():
                return self.refused, (event.jail, event.reason)
            case Slow():
                return self.slow, (event.jail,)
            case _:
                return None

    def read(self, source: str, lines: int, size: int, lag: float, at: Instant) -> None:
        """Count one block of a log that was read at `at`, `lag` seconds after it was written."""
        self.lines.labels(source).inc(lines)
        self.bytes.labels(source).inc(size)
        self.lag.labels(source).set(lag)
        self.last_line.labels(source).set(at)

    def active(self, table: BanTable) -> None:
        """Set the bans per jail that are enforced, those that are not for now, and the dry ones."""
        for gauge, numbers in (
            (self.bans_active, table.active),
            (self.bans_suspended, table.resting),
            (self.dry_bans_active, table.dry),
        ):
            for jail, number in numbers.items():
                gauge.labels(jail).set(number)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
