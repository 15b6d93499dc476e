"""A scrape: its names, its formats, and how many series and bytes a large host has."""

from __future__ import annotations

import re
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from sidecar.model import Ban, Batch, Event, Failure, Match, Refused, Unban
from sidecar.network import Network
from sidecar.serve.metrics import STAGES, Metrics
from tests.app.running import LISTEN, service
from tests.monitoring.conftest import program
from tests.monitoring.hosts import HEALTHY, Host
from tests.netns import Namespace

ROOT = Path(__file__).parents[2]
LOGS, JAILS = 500, 100
# docs/metrics.md states this bound.
PER_JAIL, PER_LOG, BASE = 40, 6, 400
BYTES_A_SERIES = 130
OPENMETRICS = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
REASONS = (
    "framed", "ignored", "own-address", "gateway", "reserved", "too-wide", "trusted-proxy", "untrusted-proxy",
    "masked", "known-good", "report-only",
)  # fmt: skip


def large() -> Metrics:
    """The metrics of a host with many logs and jails, on which everything happened."""
    metrics, who = Metrics(), Network.parse("198.51.100.7")
    jails = [f"a-jail-with-a-long-name-{number}" for number in range(JAILS)]
    logs = [f"/var/lib/docker/volumes/zimbra-{number}/_data/log/mailbox.log" for number in range(LOGS)]
    metrics.add_jails(jails)
    metrics.sources.ask = lambda: dict.fromkeys(logs)
    for log in logs:
        metrics.add_source(log)
        metrics.read(log, 5, 500, 0.1, time.time())
    events: list[Event | Match] = []
    for jail in jails:
        for origin in ("log", "manual", "import", "cluster"):
            events.append(Ban(who, jail, 1.0, None, origin))
            events.append(Ban(who, jail, 1.0, None, origin, dry=True))
        events += [Refused("", jail, 1.0, reason) for reason in REASONS]
        events += [Failure(jail, who, 1.0, ""), Unban(who, jail, 1.0, "expired")]
    metrics.handle(Batch(tuple(events)))
    for stage in STAGES:
        metrics.stages[stage].observe(0.1)
    return metrics


def test_promtool_has_nothing_to_say_about_the_names() -> None:
    for metrics in (Host(HEALTHY).scrape(), large().taken()()[0]):
        done = subprocess.run(
            [program("promtool"), "check", "metrics"], input=metrics, capture_output=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_host_with_500_logs_and_100_jails_stays_within_the_stated_bound() -> None:
    metrics = large()
    begun = time.perf_counter()
    text = metrics.taken()()[0].decode()
    took = time.perf_counter() - begun
    series = sum(len(family.samples) for family in plain(text))
    most = BASE + PER_JAIL * JAILS + PER_LOG * LOGS
    print(f"{series} series (at most {most}), {len(text)} bytes, {took * 1000:.0f} ms")
    assert LOGS * PER_LOG + JAILS * 20 < series <= most
    assert len(text) < most * BYTES_A_SERIES
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    stated = re.search(r"at most (\d+) series, (\d+) for each jail and (\d+) for each log", page)
    assert stated and tuple(map(int, stated.groups())) == (BASE, PER_JAIL, PER_LOG)


def test_a_log_that_is_gone_leaves_no_series() -> None:
    metrics = Metrics()
    before = metrics.taken()()[0].decode()
    metrics.add_source("/var/log/app.log")
    metrics.read("/var/log/app.log", 1, 1, 0.0, 1.0)
    metrics.remove_source("/var/log/app.log")
    assert "app.log" not in metrics.taken()()[0].decode()
    assert "app.log" not in before


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0"),
        ("", "text/plain; version=0.0.4"),
        ("text/html,*/*", "text/plain; version=0.0.4"),
    ],
)
@pytest.mark.kernel
def test_the_service_answers_in_the_format_that_is_asked_for(
    host: Namespace, tmp_path: Path, accept: str, kind: str
) -> None:
    with service(tmp_path) as running:
        running.attack("198.51.100.7")
        request = urllib.request.Request(f"http://{LISTEN}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.headers["Content-Type"].startswith(kind)
            text = answer.read().decode()
    parse = openmetrics if kind.startswith("application") else plain
    names = {family.name for family in parse(text)}
    assert {"zmban_enforced", "zmban_stage_duration_seconds", "zmban_event_loop_lag_seconds"} <= names
    observed = re.findall(r'zmban_stage_duration_seconds_count\{stage="(\w+)"\} [1-9]', text)
    assert {"reconcile", "verify"} <= {*observed} <= {*STAGES}
