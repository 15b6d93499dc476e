"""Metrics of the work itself: stages, lag, queues, reloads, ends of bans, and the table as the kernel lists it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from sidecar.app.ingest.followed_log import FollowedLog
from sidecar.app.periodic import Periodic
from sidecar.detect.scanner import Scanner
from sidecar.kernel.backend import Entry
from sidecar.kernel.route.route_backend import RouteBackend
from sidecar.model import Ban, Batch, Block, Position, Unban
from sidecar.network import Network
from sidecar.serve.metrics import STAGES, UNBAN_REASONS, Metrics
from sidecar.sources.files.disk import Disk
from tests.app.running import InProcess, in_process, service, until
from tests.app.test_service import EVIL
from tests.cli.running import zmban
from tests.netns import Namespace

pytestmark = pytest.mark.kernel
LOG = "/var/log/zimbra.log"


def test_each_stage_is_observed_once_per_block_and_not_per_line(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        before = running.metric('zmban_stage_duration_seconds_count{stage="match"}')
        running.attack(EVIL, times=500)
        until(lambda: running.metric('zmban_stage_duration_seconds_count{stage="commit"}') >= 1)
        counts = {s: running.metric(f'zmban_stage_duration_seconds_count{{stage="{s}"}}') for s in STAGES}
        assert min(counts.values()) >= 1
        assert counts["match"] - before <= 5
        assert running.metric("zmban_event_loop_lag_seconds_count") > 1
        assert running.metric('zmban_queue_length{queue="names"}') == 0
        assert running.metric('zmban_known_good{kind="client"}') == 0


def followed(one: InProcess) -> FollowedLog:
    jails, trust = list(one.parts.active.jails.values()), one.suspects.trust
    return FollowedLog(LOG, Disk("x"), Scanner(LOG, jails, one.parts.active.zone, trust), None, tail=False)


@pytest.mark.parametrize(
    ("line_ago", "changed_ago", "lag"),
    [(300.0, 0.0, 300.0), (0.0, 120.0, 120.0), (None, 60.0, 60.0), (-3600.0, 0.0, 0.0)],
    ids=["while the log is written to", "a late line", "a line without a date", "a line of the future"],
)
async def test_the_lag_is_the_age_of_the_line_that_is_read(
    host: Namespace, tmp_path: Path, line_ago: float | None, changed_ago: float, lag: float
) -> None:
    async with in_process(tmp_path) as one:
        now = time.time()
        stamp = (
            "" if line_ago is None else f"{time.strftime('%b %e %H:%M:%S', time.localtime(now - line_ago))} "
        )
        data = f"{stamp}mail postfix/anvil[1]: statistics: none\n".encode()
        block = Block(data * 2, Position(LOG, 1, len(data), b""), False, now, now - changed_ago)
        one.logs._process(followed(one), block, 1 << 16)
        assert one.metric("source_lag_seconds", source=LOG) == pytest.approx(lag, abs=2.0)


async def test_a_block_that_reaches_the_end_has_no_lag(host: Namespace, tmp_path: Path) -> None:
    async with in_process(tmp_path) as one:
        block = Block(b"Jan  1 00:00:00 mail x\n", Position(LOG, 1, 23, b""), False, time.time())
        one.logs._process(followed(one), block, 1 << 16)
        assert one.metric("source_lag_seconds", source=LOG) == 0


async def test_a_table_from_which_routes_vanish_is_counted_as_the_kernel_lists_it(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = RouteBackend.write
    evil = Network.parse(EVIL)

    def forgetful(self: RouteBackend, entry: Entry, networks: Sequence[Network]) -> object:
        return write(self, entry, [network for network in networks if network != evil])

    async with in_process(tmp_path) as one:
        one.ban(Ban(evil, "manual", 1.0, None, "manual"))
        await one.verifier.verify()
        assert one.metric("table_routes", family="ipv4") == 1
        monkeypatch.setattr(RouteBackend, "write", forgetful)
        host.ip("route", "del", "blackhole", EVIL, "table", "2520", "proto", "222")
        assert (await one.verifier.verify()).enforced
        assert one.metric("table_routes", family="ipv4") == 0
        assert one.metric("bans_active", jail="manual") == 1


def test_reloads_are_counted_by_their_result(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        series = 'zmban_config_reloads_total{{result="{}"}}'
        assert zmban("reload", "--socket", running.socket).returncode == 0
        (tmp_path / "config/jail.d/bad.conf").write_text(
            "[bad]\nenabled = true\nfilter = none-such\nlogpath = /x\n"
        )
        assert zmban("reload", "--socket", running.socket).returncode != 0
        assert [running.metric(series.format(one)) for one in ("reloaded", "refused", "failed")] == [1, 1, 0]
        assert running.metric("zmban_config_last_reload_successful") == 0


async def test_a_reload_that_ends_by_a_bug_is_counted_as_failed(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with in_process(tmp_path) as one:
        monkeypatch.setattr("sidecar.app.config_reload.compare", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await one.parts.reload.reload()
        assert one.metric("config_reloads_total", result="failed") == 1
        assert one.metric("config_last_reload_successful") == 0


def test_ends_of_bans_are_counted_by_reason_once_each_whatever_jails_they_are_of() -> None:
    metrics, who = Metrics(), Network.parse(EVIL)
    reasons = ("expired", "manual", "expired", "a reason of a later version")
    ends = [Unban(who, f"jail-{number}", 1.0, reason, False) for number, reason in enumerate(reasons)]
    metrics.handle(Batch((*ends, Unban(who, "trial", 1.0, "expired", True))))
    counted = {labels[0]: value for labels, value in metrics.by_label(metrics.unban_reasons).items() if value}
    assert counted == {"expired": 2, "manual": 1, "other": 1}
    assert sum(metrics.by_label(metrics.unbans).values()) == 4
    assert set(UNBAN_REASONS) == {labels[0] for labels in metrics.by_label(metrics.unban_reasons)}


async def test_a_busy_loop_shows_as_lag() -> None:
    metrics = Metrics()

    async def work() -> float:
        return 0.05

    task = asyncio.create_task(Periodic(metrics).repeat(0.05, "x", work))
    await asyncio.sleep(0.01)
    time.sleep(0.7)  # what a bug would do
    await asyncio.sleep(0.1)
    task.cancel()
    late = metrics.registry.get_sample_value("zmban_event_loop_lag_seconds_sum")
    assert late is not None
    assert late > 0.5
