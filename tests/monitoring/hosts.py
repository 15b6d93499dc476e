"""Simulated hosts with zmban: HTTP servers with all its metrics, healthy or with faults."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

JAILS = ("zimbra-smtp", "zimbra-mail", "zimbra-nginx")
SOURCES = ("/var/log/zimbra.log", "/opt/zimbra/log/mailbox.log", "/opt/zimbra/log/nginx.log")


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of a host at one scrape: the increase of its counters since the previous scrape, and its gauges."""

    bans: float = 0.1  # 15 minutes of scrapes, one per second, stay below ZmbanBanBurst
    framed: int = 0
    gateway: int = 0
    latency: float = 0.004
    lag: float = 0.2
    silence: float = 3.0
    drift: int = 0
    errors: int = 0
    routes: int = 12_000
    enforced: bool = True
    configured: bool = True
    stopped: int = 0
    database: int = 12_000_000
    written: bool = True
    read: bool = True


HEALTHY = Condition()
TROUBLED = Condition(
    bans=90,
    framed=30,
    gateway=9,
    latency=4.0,
    lag=300.0,
    silence=200_000.0,
    drift=5,
    errors=1,
    enforced=False,
    configured=False,
    stopped=1,
    database=5 << 30,
    written=False,
    read=False,
)
DECEIVED = Condition(routes=0)  # reports "enforced" with an empty table


class Host:
    """The metrics of one host; each `scrape` advances its counters."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.registry = r = CollectorRegistry()
        ProcessCollector(registry=r)
        Info("zmban_build", "Version.", registry=r).info({"version": "0.1.0"})
        self.lines = Counter("zmban_lines_total", "Lines read.", ["source"], registry=r)
        self.bytes = Counter("zmban_bytes_total", "Bytes read.", ["source"], registry=r)
        self.lag = Gauge("zmban_source_lag_seconds", "Lag.", ["source"], registry=r)
        self.up = Gauge("zmban_source_up", "Read.", ["source"], registry=r)
        self.last = Gauge("zmban_source_last_line_timestamp_seconds", "Last line.", ["source"], registry=r)
        self.matches = Counter("zmban_matches_total", "Matches.", ["jail"], registry=r)
        self.failures = Counter("zmban_failures_total", "Failures.", ["jail"], registry=r)
        self.bans = Counter("zmban_bans_total", "Bans.", ["jail", "origin"], registry=r)
        self.unbans = Counter("zmban_unbans_total", "Ends.", ["jail"], registry=r)
        self.refused = Counter("zmban_refused_total", "Refusals.", ["jail", "reason"], registry=r)
        self.slow = Counter(
            "zmban_slow_regex_total", "Lines on which a regex worked too long.", ["jail"], registry=r
        )
        self.active = Gauge("zmban_bans_active", "Active.", ["jail"], registry=r)
        self.resting = Gauge("zmban_bans_suspended", "Suspended.", ["jail"], registry=r)
        self.dry_bans = Counter("zmban_dry_bans_total", "Dry bans.", ["jail", "origin"], registry=r)
        self.dry_active = Gauge("zmban_dry_bans_active", "Dry bans.", ["jail"], registry=r)
        self.routes = Gauge("zmban_table_routes", "Routes.", ["family"], registry=r)
        self.addresses = Gauge("zmban_table_addresses", "Addresses.", ["family"], registry=r)
        self.latency = Histogram("zmban_ban_latency_seconds", "Line to route.", registry=r)
        self.ingress = Counter("zmban_ingress_dropped_packets_total", "Dropped.", registry=r)
        self.still_seen = Counter("zmban_still_seen_total", "Seen.", ["jail"], registry=r)
        self.masked = Counter("zmban_masked_clients_total", "Hidden.", registry=r)
        self.drift = Counter("zmban_kernel_drift_total", "Drift.", ["kind"], registry=r)
        self.errors = Counter("zmban_kernel_errors_total", "Errors.", registry=r)
        self.enforced = Gauge("zmban_enforced", "Enforced.", registry=r)
        self.dry = Gauge("zmban_dry_run", "Dry.", registry=r)
        self.suspended = Gauge("zmban_suspended", "Suspended.", registry=r)
        self.ready = Gauge("zmban_ready", "Ready.", registry=r)
        self.database = Gauge("zmban_database_bytes", "Size.", registry=r)
        self.database_log = Gauge("zmban_database_wal_bytes", "Log.", registry=r)
        self.history = Gauge("zmban_database_history_rows", "Ended.", registry=r)
        self.store = Gauge("zmban_store_failing", "Database.", ["reason"], registry=r)
        self.jails = Gauge("zmban_jails", "Jails.", ["state"], registry=r)
        self.faults = Gauge("zmban_config_faults", "Faults.", registry=r)
        self.suspected = Gauge("zmban_suspected_proxies", "Suspects.", registry=r)
        self.reload = Gauge("zmban_config_last_reload_successful", "Success.", registry=r)
        self.reloaded = Gauge("zmban_config_last_reload_timestamp_seconds", "When.", registry=r)
        self.reloaded.set(time.time() - 3600)
        self.job_errors = Counter("zmban_job_errors_total", "Failed.", ["task"], registry=r)
        self.told = Counter("zmban_notifications_total", "Told.", ["target", "result"], registry=r)
        self.untold = Gauge("zmban_notifications_waiting", "Waiting.", registry=r)
        self.job_run = Gauge("zmban_job_last_run_timestamp_seconds", "When.", ["task"], registry=r)

    def scrape(self) -> bytes:
        """Advance the counters and return the exposition text."""
        self._read()
        self._judge()
        self._enforce()
        return generate_latest(self.registry)

    def _read(self) -> None:
        for source in SOURCES:
            self.lines.labels(source).inc(250)
            self.bytes.labels(source).inc(40_000)
            self.up.labels(source).set(self.condition.read)
            self.lag.labels(source).set(self.condition.lag)
            self.last.labels(source).set(time.time() - self.condition.silence)

        self.job_errors.labels("verify").inc(0)
        self.told.labels("webhook", "sent").inc()
        self.job_run.labels("verify").set_to_current_time()

    def _judge(self) -> None:
        for jail in JAILS:
            self.matches.labels(jail).inc(5)
            self.failures.labels(jail).inc(4)
            self.bans.labels(jail, "log").inc(self.condition.bans)
            self.bans.labels(jail, "manual").inc(0)
            self.unbans.labels(jail).inc(1)
            self.refused.labels(jail, "ignored").inc(1)
            self.refused.labels(jail, "framed").inc(self.condition.framed)
            self.refused.labels(jail, "gateway").inc(self.condition.gateway)
            self.slow.labels(jail).inc(0)
            self.active.labels(jail).set(4_000)
            self.resting.labels(jail).set(1)
            self.dry_bans.labels(jail, "log").inc(0)
            self.dry_active.labels(jail).set(0)

    def _enforce(self) -> None:
        for family, width in (("ipv4", 20.0), ("ipv6", 2.0**64)):
            self.routes.labels(family).set(self.condition.routes)
            self.addresses.labels(family).set(self.condition.routes * width)
        for _ in range(math.ceil(self.condition.bans)):
            self.latency.observe(self.condition.latency)
        self.drift.labels("missing").inc(self.condition.drift)
        self.still_seen.labels("smtp")
        self.masked.inc(0)
        self.errors.inc(self.condition.errors)
        self.enforced.set(self.condition.enforced)
        self.ready.set(self.condition.enforced)
        self.database.set(self.condition.database)
        self.database_log.set(self.condition.database / 100)
        self.history.set(50_000)
        self.store.labels("unwritten").set(not self.condition.written)
        self.store.labels("set-aside").set(0)
        self.store.labels("upkeep").set(not self.condition.written)
        self.reload.set(self.condition.configured)
        for state, number in (("running", len(JAILS)), ("degraded", 0), ("stopped", self.condition.stopped)):
            self.jails.labels(state).set(number)


@contextmanager
def served(host: Host) -> Iterator[str]:
    """Serve the host's /metrics on a loopback port while the block runs; yields host:port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = host.scrape()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Do not log scrapes."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
