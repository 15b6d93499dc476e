"""Simulated hosts: HTTP servers with the real metrics of zmban, healthy or with faults."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sidecar.bans.table import BanTable
from sidecar.model import Ban
from sidecar.network import Network
from sidecar.serve.metrics import STAGES, Metrics

JAILS = ("zimbra-smtp", "zimbra-mail", "zimbra-nginx")
SOURCES = ("/var/log/zimbra.log", "/opt/zimbra/log/mailbox.log", "/opt/zimbra/log/nginx.log")
QUEUES = ("commit", "routes", "names", "tasks", "cluster")


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of a host at one scrape: the increase of its counters since the previous scrape, and its gauges."""

    bans: float = 0.1  # 15 minutes of scrapes, one per second, stay below ZmbanBanBurst
    framed: int = 0
    gateway: int = 0
    latency: float = 0.004
    lag: float = 0.2
    late: float = 0.001
    silence: float = 3.0
    drift: int = 0
    errors: int = 0
    lost: int = 0
    routes: int = 12_000
    enforced: bool = True
    suspended: bool = False
    dry: bool = False
    configured: bool = True
    stopped: int = 0
    degraded: int = 0
    proxies: int = 0
    database: int = 12_000_000
    written: bool = True
    read: bool = True
    reviewed: bool = True
    alone: bool = False
    waiting: int = 0


HEALTHY = Condition()
TROUBLED = Condition(
    bans=90,
    framed=30,
    gateway=9,
    latency=4.0,
    lag=300.0,
    late=3.0,
    silence=200_000.0,
    drift=5,
    errors=1,
    lost=1,
    enforced=False,
    configured=False,
    stopped=1,
    degraded=1,
    proxies=1,
    database=5 << 30,
    written=False,
    read=False,
    reviewed=False,
    alone=True,
    waiting=5,
)
DECEIVED = Condition(routes=0)  # reports "enforced" with an empty table
IDLE = Condition(enforced=False, suspended=True, dry=True)  # on purpose


class Host:
    """The metrics of one host; each `scrape` advances its counters."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.metrics = metrics = Metrics()
        metrics.add_jails(JAILS)
        for source in SOURCES:
            metrics.add_source(source)
        one = Ban(Network.parse("198.51.100.7"), JAILS[0], 1.0, None, "log")
        metrics.standing.ask = lambda: BanTable([one])
        why = None if condition.read else "it is missing"
        metrics.sources.ask = lambda: dict.fromkeys(SOURCES, why)
        metrics.configured(JAILS, JAILS[: condition.degraded], JAILS[: condition.stopped], 0)
        metrics.reload_good.set(condition.configured)
        metrics.reload_at.set(time.time() - 3600)

    def value(self, name: str, **labels: str) -> float:
        """One value; 0 if there is no such series."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def scrape(self) -> bytes:
        """Advance the counters and return the exposition text."""
        self._read()
        self._judge()
        self._enforce()
        self._serve()
        return self.metrics.taken()()[0]

    def _read(self) -> None:
        for source in SOURCES:
            at = time.time() - self.condition.silence
            self.metrics.read(source, 250, 40_000, self.condition.lag, at)
        for stage in STAGES:
            self.metrics.stages[stage].observe(0.002)
        self.metrics.loop_lag.observe(self.condition.late)

    def _judge(self) -> None:
        metrics, condition = self.metrics, self.condition
        for jail in JAILS:
            metrics.matches.labels(jail).inc(5)
            metrics.failures.labels(jail).inc(4)
            metrics.bans.labels(jail, "log").inc(condition.bans)
            metrics.unbans.labels(jail).inc(1)
            metrics.unban_reasons.labels("expired").inc(1)
            metrics.refused.labels(jail, "ignored").inc(1)
            metrics.refused.labels(jail, "framed").inc(condition.framed)
            metrics.refused.labels(jail, "gateway").inc(condition.gateway)
        metrics.suspected.set(condition.proxies)
        for kind in ("client", "mail-server"):
            metrics.known_good.labels(kind).set(40)

    def _enforce(self) -> None:
        metrics, condition = self.metrics, self.condition
        for family, width in (("ipv4", 20.0), ("ipv6", 2.0**64)):
            metrics.table_routes.labels(family).set(condition.routes)
            metrics.table_addresses.labels(family).set(condition.routes * width)
        for _ in range(math.ceil(condition.bans)):
            metrics.latency.observe(condition.latency)
        metrics.drift.labels("route").inc(condition.drift)
        metrics.kernel_errors.inc(condition.errors)
        metrics.enforced.set(condition.enforced)
        metrics.ready.set(condition.enforced)
        metrics.suspended.set(condition.suspended)
        metrics.dry_run.set(condition.dry)

    def _serve(self) -> None:
        metrics, condition = self.metrics, self.condition
        metrics.database_bytes.set(condition.database)
        metrics.log_bytes.set(condition.database / 100)
        metrics.history_rows.set(50_000)
        for reason, failing in (("unwritten", not condition.written), ("upkeep", not condition.written)):
            metrics.store_failing.labels(reason).set(failing)
        for queue in QUEUES:
            metrics.queues.labels(queue).set(0)
        metrics.review_failing.set(not condition.reviewed)
        metrics.cluster_up.set(not condition.alone)
        metrics.cluster_waiting.set(condition.waiting)
        metrics.cluster_refused.labels("signature").inc(condition.waiting)
        metrics.job_errors.labels("verify").inc(0)
        metrics.job_last_run.labels("verify").set_to_current_time()
        metrics.notifications.labels("webhook", "sent").inc()
        metrics.notifications.labels("webhook", "expired").inc(condition.lost)


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
