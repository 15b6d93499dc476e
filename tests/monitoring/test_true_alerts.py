"""Each alert fires when its fault happens in a real service, and rests when the fault is gone."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sidecar.app.enforce.proof import CANARY
from sidecar.cluster.host_keys import new_key
from tests.app.cluster.group import Redis
from tests.app.cluster.stranger import Stranger
from tests.app.running import LISTEN, Running, until
from tests.app.test_service import EVIL
from tests.cli.running import zmban
from tests.delivery.servers import Hook, answering, hook
from tests.monitoring.queries import run_dashboard_queries
from tests.monitoring.test_rules import rules
from tests.monitoring.watch import URL, Watch, alert_names, watching
from tests.netns import Namespace, program

pytestmark = pytest.mark.kernel
QUICK = Path(__file__).with_name("quick_zmban.py")
PROXY = "192.168.20.50"
WEB = """[web]
enabled = true
logpath = {log}
maxretry = 1
findtime = 1000d
failregex = .*ip=<HOST>;.*authentication failed for .*$
[imap]
enabled = true
filter = zimbra-mail
logpath = {log}
maxretry = 2
findtime = 1h
zmban.count = logins
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Namespace]:
    """The mail server's host; the tests of this file run inside, one after the other."""
    namespace = Namespace()
    try:
        with namespace.inside():
            yield namespace
    finally:
        namespace.remove()


@pytest.fixture(scope="module")
def watch(machine: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    with watching(tmp_path_factory.mktemp("prometheus")) as found:
        yield found


@contextmanager
def healthy(
    watch: Watch,
    root: Path,
    jails: str = "",
    settings: str = "",
    *,
    log: str = "zimbra.log",
    silent: bool = False,
) -> Iterator[Running]:
    """A service over which no alert fires. A line a second is written to zimbra.log, unless it is `silent`;
    `log` is the other one that its jails name."""
    # A service without a database would adopt the routes of the one before.
    for family in ("-4", "-6"):
        command = [program("ip", "iproute2"), family, "route", "flush", "table", "2520"]
        subprocess.run(command, capture_output=True, check=False)
    running = Running(root, jails)
    running.log.with_name(log).touch()
    (root / "config/zmban.toml").write_text(settings, encoding="utf-8")
    running.by = [sys.executable, str(QUICK)]
    over = threading.Event()

    def write() -> None:
        while not over.wait(1.0):
            with running.log.open("a", encoding="utf-8") as file:
                file.write(f"{datetime.now():%b %e %H:%M:%S} mail postfix/anvil[1]: statistics: none\n")

    writer = threading.Thread(target=write)
    if not silent:
        writer.start()
    try:
        running.start()
        time.sleep(1.2)  # A scrape of this process: an increase is only seen from it on.
        watch.rest()
        yield running
    finally:
        over.set()
        if not silent:
            writer.join()
        if running.process is not None and running.process.poll() is None:
            running.process.send_signal(signal.SIGCONT)
            running.process.kill()
            running.process.wait(20)


def test_a_service_that_ends_is_down_and_one_that_ends_again_and_again_is_in_a_loop(
    watch: Watch, tmp_path: Path
) -> None:
    with healthy(watch, tmp_path) as running:
        running.stop(signal.SIGKILL)
        watch.fire("ZmbanDown")
        running.start()
        watch.rest("ZmbanDown")
        # Until three of them are within the time of the rule, however slow the machine is.
        for _ in range(8):
            running.stop(signal.SIGKILL)
            running.start()
            time.sleep(1.2)  # a scrape of this process
            if "ZmbanCrashLoop" in watch.firing():
                break
        watch.fire("ZmbanCrashLoop", seconds=5)
        watch.rest("ZmbanCrashLoop")


def test_a_host_that_prometheus_does_not_know_any_more_is_missed(watch: Watch, tmp_path: Path) -> None:
    with healthy(watch, tmp_path):
        time.sleep(21)  # it was there "yesterday"
        watch.target()
        watch.fire("ZmbanVanished")
        watch.target(LISTEN)
        watch.rest("ZmbanVanished", "ZmbanDown")


def test_what_prevents_enforcement_is_told_and_repeated_repair_too(
    watch: Watch, machine: Namespace, tmp_path: Path
) -> None:
    with healthy(watch, tmp_path) as running:
        machine.ip("route", "replace", "unreachable", CANARY.address, "table", "2520", "proto", "201")
        watch.fire("ZmbanNotEnforced", "ZmbanKernelErrors")
        machine.ip("route", "del", "unreachable", CANARY.address, "table", "2520", "proto", "201")
        watch.rest("ZmbanNotEnforced", "ZmbanKernelErrors")
        running.attack(EVIL)
        until(lambda: running.metric('zmban_bans_active{jail="smtp"}') == 1)
        for _ in range(5):
            machine.ip("route", "del", "blackhole", EVIL, "table", "2520", "proto", "222")
            until(lambda: any(EVIL in line for line in machine.routes("2520")))
            time.sleep(0.7)  # one scrape after each repair
        watch.fire("ZmbanKernelDrift")
        watch.rest()


def test_a_flush_and_a_dry_run_are_told_as_what_they_are(watch: Watch, tmp_path: Path) -> None:
    with healthy(watch, tmp_path) as running:
        places = ["--socket", str(running.socket), "--state", str(running.state)]
        assert zmban("flush", *places).returncode == 0
        watch.fire("ZmbanSuspended")
        assert "ZmbanNotEnforced" not in watch.firing()
        assert zmban("resume", "--socket", running.socket).returncode == 0
        watch.rest()
        running.stop()
        running.start("--dry-run")
        watch.fire("ZmbanDryRun")
        assert "ZmbanNotEnforced" not in watch.firing()
        running.stop()
        running.start()
        watch.rest()


def test_bans_over_a_kernel_that_forgets_routes_are_told(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORGETFUL", "1")
    with healthy(watch, tmp_path) as running:
        running.attack(EVIL)
        watch.fire("ZmbanTableEmpty")
        monkeypatch.delenv("FORGETFUL")
        running.stop()
        running.start()
        watch.rest()


def flood(running: Running, lines: int, hosts: Iterable[str] = (EVIL,), ago: float = 0.0) -> None:
    """Append failed logins of each client at once, written some time ago."""
    stamp = (datetime.now().astimezone() - timedelta(seconds=ago)).strftime("%b %e %H:%M:%S")
    says = "SASL LOGIN authentication failed: x"
    with running.log.open("a", encoding="utf-8") as file:
        for host in hosts:
            line = f"{stamp} mail postfix/smtps/smtpd[1]: warning: unknown[{host}]: {says}\n"
            file.write(line * lines)


@contextmanager
def throttled(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A process that is stopped for a third of a second, again and again."""
    over = threading.Event()

    def throttle() -> None:
        while not over.wait(0.3):
            process.send_signal(signal.SIGSTOP)
            over.wait(0.35)
            process.send_signal(signal.SIGCONT)

    limiter = threading.Thread(target=throttle)
    limiter.start()
    try:
        yield
    finally:
        over.set()
        limiter.join()


def test_a_service_without_cpu_is_told_and_what_is_late_by_it(watch: Watch, tmp_path: Path) -> None:
    with healthy(watch, tmp_path) as running:
        assert running.process is not None
        for wave in range(8):
            flood(running, 2, [f"198.{18 + wave}.{number >> 8}.{number & 255}" for number in range(2048)])
            # It reads the lines, and is stopped before it has decided on all.
            time.sleep(0.03)
            running.process.send_signal(signal.SIGSTOP)
            time.sleep(1.3)
            running.process.send_signal(signal.SIGCONT)
            time.sleep(0.6)  # for a scrape
        watch.fire("ZmbanBansSlow")
        watch.rest("ZmbanBansSlow", "ZmbanBusy")
        # As a CPU limit does that lets it run half of the time.
        with throttled(running.process):
            watch.fire("ZmbanBusy")
        watch.rest("ZmbanBusy")


def test_a_backlog_of_minutes_is_told_until_it_is_read(watch: Watch, tmp_path: Path) -> None:
    with healthy(watch, tmp_path) as running:
        flood(running, 400_000, ago=300)
        watch.fire("ZmbanSourceLag")
        watch.rest("ZmbanSourceLag", seconds=120)


def test_a_log_that_falls_silent_is_told_also_if_it_is_silent_since_a_restart(
    watch: Watch, tmp_path: Path
) -> None:
    with healthy(watch, tmp_path, silent=True) as running:
        flood(running, 1)
        time.sleep(5)
        assert "ZmbanLogSilent" not in watch.firing()
        watch.fire("ZmbanLogSilent")
        running.stop()
        running.start()
        watch.rest("ZmbanLogSilent")
        watch.fire("ZmbanLogSilent")
        assert running.metric(f'zmban_source_last_line_timestamp_seconds{{source="{running.log}"}}') == 0
        flood(running, 1)
        watch.rest("ZmbanLogSilent")


def test_faults_of_the_configuration_and_a_missing_log_are_told(watch: Watch, tmp_path: Path) -> None:
    with healthy(watch, tmp_path) as running:
        jails = tmp_path / "config/jail.d/more.conf"
        head = "enabled = true\nfilter = zimbra-smtp\n"
        jails.write_text(
            f"[stopped]\nenabled = true\nfilter = none-such\nlogpath = {running.log}\n"
            f"[degraded]\n{head}maxretry = many\nlogpath = {running.log}\n"
            f"[missing]\n{head}logpath = {tmp_path}/logs/none.log\n"
        )
        assert zmban("reload", "--socket", running.socket).returncode != 0
        watch.fire("ZmbanConfigReloadFailed")
        assert running.metric('zmban_config_reloads_total{result="refused"}') == 1
        running.stop()
        running.launch()
        watch.fire("ZmbanConfigReloadFailed", "ZmbanJailStopped", "ZmbanJailDegraded", "ZmbanSourceDown")
        jails.write_text(f"[missing]\n{head}logpath = {tmp_path}/logs/none.log\n")
        assert zmban("reload", "--socket", running.socket).returncode == 0
        watch.rest("ZmbanConfigReloadFailed", "ZmbanJailStopped", "ZmbanJailDegraded")
        assert "ZmbanSourceDown" in watch.firing()
        (tmp_path / "logs/none.log").touch()
        watch.rest("ZmbanSourceDown")


def test_a_database_that_is_locked_or_grows_is_told(watch: Watch, tmp_path: Path) -> None:
    with healthy(watch, tmp_path) as running:
        other = sqlite3.connect(running.state / "zmban.sqlite3", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        running.attack(EVIL)
        watch.fire("ZmbanStoreFailing", "ZmbanUpkeepFailing")
        other.execute("ROLLBACK")
        watch.rest("ZmbanStoreFailing", "ZmbanUpkeepFailing")
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE stranger (junk)")
        for _ in range(5):
            other.execute("INSERT INTO stranger VALUES (zeroblob(64 << 20))")
        other.execute("COMMIT")
        watch.fire("ZmbanDatabaseGrowth")
        other.execute("DROP TABLE stranger")
        other.close()
        watch.rest()


def test_a_review_that_cannot_be_counted_is_told(watch: Watch, tmp_path: Path) -> None:
    with healthy(watch, tmp_path) as running:
        kept = running.state / "review.sqlite3"
        until(kept.exists)
        aside = kept.with_name("aside")
        kept.rename(aside)
        kept.mkdir()
        flood(running, 1)
        watch.fire("ZmbanReviewFailing")
        kept.rmdir()
        aside.rename(kept)
        watch.rest("ZmbanReviewFailing")


def test_an_attack_a_forger_and_hidden_clients_are_told(
    watch: Watch, machine: Namespace, tmp_path: Path
) -> None:
    log = tmp_path / "logs/mailbox.log"
    settings = '[trust]\nproxies = ["10.0.0.9"]\n'
    with healthy(watch, tmp_path, WEB.format(log=log), settings, log=log.name) as running:
        # Lines of a year ago are only read in a log that is followed already.
        until(lambda: running.metric(f'zmban_source_up{{source="{log}"}}') == 1)
        for number in range(120):
            running.attack(f"198.18.0.{number}")
        says = "SoapEngine - handler exception: authentication failed for [bob], invalid password\n"
        head = "2026-01-05 10:00:01,041 INFO  [qtp1-2:https://m/service/soap/AuthRequest]"
        forged = f"{head} [oip={EVIL};ua=x;;ip=198.51.100.99;; y;] {says}" * 30
        masked = f"{head} [ip=10.0.0.9;] {says}" * 20
        with log.open("a", encoding="utf-8") as file:
            file.write(forged + masked)
        watch.fire("ZmbanBanBurst", "ZmbanForgedLines", "ZmbanClientsMasked")
        watch.rest("ZmbanBanBurst", "ZmbanForgedLines", "ZmbanClientsMasked")
        at = datetime.now().strftime("%Y-%m-%d %H:%M:%S,000")
        context = f"ip={PROXY};oip={EVIL};via=192.168.20.52(nginx/1.7.1);"
        relayed = (
            f"{at} WARN  [ImapSSLServer-1] [{context}] security - cmd=Auth; account=bob; protocol=imap; "
            "error=authentication failed for [bob], invalid password;\n"
        )
        with log.open("a", encoding="utf-8") as file:
            file.write(relayed * 2)
        watch.fire("ZmbanProxySuspected")
        (tmp_path / "config/zmban.toml").write_text(f'[trust]\nproxies = ["10.0.0.9", "{PROXY}"]\n')
        assert zmban("reload", "--socket", running.socket).returncode == 0
        watch.rest("ZmbanProxySuspected")


def test_messages_that_a_target_refuses_are_told(watch: Watch, tmp_path: Path) -> None:
    with ExitStack() as stack:
        target = stack.enter_context(hook(Hook(answering(404))))
        settings = f"[notify]\nwebhooks = {json.dumps([target.url()])}\n"
        running = stack.enter_context(healthy(watch, tmp_path, settings=settings))
        running.ask("ban", "203.0.113.0/24", "--reason", "research")
        until(lambda: running.metric("zmban_notifications_waiting") == 1)
        # A message collects for a minute; after a restart it is due at once.
        running.stop()
        running.start()
        watch.fire("ZmbanNotificationsLost")
        watch.rest("ZmbanNotificationsLost")


def test_a_dead_redis_a_host_beyond_its_quota_and_a_forger_are_told(
    watch: Watch, machine: Namespace, tmp_path: Path
) -> None:
    redis = Redis(tmp_path / "redis", machine, bind="127.0.0.1")
    peer, forger = Stranger("mx2"), Stranger("mx2")
    key, ours = new_key()
    (tmp_path / "key").write_text(key)
    settings = (
        f'[cluster]\nurl = "redis://127.0.0.1"\nhost = "mx1"\nkey_file = "{tmp_path / "key"}"\n'
        f'trust = ["mx2={peer.public}"]\nbans_per_minute = 12\n'
    )
    try:
        with healthy(watch, tmp_path, settings=settings) as running:
            redis.stop()
            watch.fire("ZmbanClusterDown")
            redis.start()
            watch.rest("ZmbanClusterDown")
            peer.tell("127.0.0.1", *(f"198.51.100.{number}" for number in range(15)))
            watch.fire("ZmbanClusterQuota")
            watch.rest("ZmbanClusterQuota")
            until(lambda: len(running.banned()) == 15)
            forger.tell("127.0.0.1", "198.51.100.200")
            watch.fire("ZmbanClusterForged")
            watch.rest("ZmbanClusterForged")
            assert len(running.banned()) == 15 and ours
    finally:
        redis.stop()


def test_a_real_service_answers_every_query_of_the_dashboards(watch: Watch, tmp_path: Path) -> None:
    with healthy(watch, tmp_path) as running:
        running.attack(EVIL)
        until(lambda: running.metric('zmban_bans_active{jail="smtp"}') == 1)
        time.sleep(2)  # some scrapes
        counts = run_dashboard_queries(URL)
    empty = {name.partition(": ")[2] for name, series in counts.items() if not series}
    # All logs are read; and what happened is annotated, if it did.
    assert {name for name in empty if not name.startswith("annotation ")} <= {"Logs that are not read A"}


def test_each_alert_was_seen_above(watch: Watch) -> None:
    assert watch.seen == alert_names(rules()), "only if all tests of this file ran"
