"""The configuration is reloaded as a whole or not at all, and no ban or failure is lost."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.app.config_reload import compare
from sidecar.configuration import loading
from sidecar.model import Match
from sidecar.network import Network
from tests.app.running import SHIPPED, Running, in_process, service, until
from tests.app.test_service import EVIL, blackholes
from tests.cli.running import zmban
from tests.netns import Namespace

OTHER = "198.51.100.8"


@pytest.fixture
def running(host: Namespace, tmp_path: Path) -> Iterator[Running]:
    with service(tmp_path) as one:
        # Filters that a test may change.
        (tmp_path / "config/filter.d").unlink()
        shutil.copytree(SHIPPED / "filter.d", tmp_path / "config/filter.d")
        yield one


def write(running: Running, text: str, name: str = "jail.local") -> None:
    (running.root / "config" / name).write_text(text, encoding="utf-8")


def test_what_changed_is_printed_jail_by_jail_and_counts_at_once(running: Running, host: Namespace) -> None:
    write(running, f"[smtp]\nmaxretry = 3\n[new]\nenabled=1\nfilter=zimbra-smtp\nlogpath={running.log}2\n")
    write(running, '[trust]\nadmins = ["203.0.113.5"]\n[kernel]\ntable = 77\n', "zmban.toml")
    done = zmban("reload", "--socket", running.socket)
    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if not line.startswith("/")] == [
        "jail new added",
        "jail smtp changed: maxretry",
        "trust.admins changed",
        "kernel.table takes effect after a restart",
    ]
    assert running.ask("reload")[0]["restart"] == ["kernel.table"]
    running.attack(EVIL, times=2)
    running.attack("203.0.113.5", times=9)
    running.attack(OTHER, times=3)
    until(lambda: OTHER in blackholes(host))
    assert blackholes(host) == {OTHER}
    (running.root / "logs/zimbra.log2").touch()
    running.attack("198.51.100.9", times=5, log=Path(f"{running.log}2"))
    until(lambda: "198.51.100.9" in blackholes(host))
    assert running.metric("zmban_config_last_reload_successful") == 1


def test_one_with_a_fault_is_refused_whole_and_the_old_one_goes_on(running: Running, host: Namespace) -> None:
    write(running, "[smtp]\nmaxretry = 5\nfindtime = x\n")
    done = zmban("reload", "--socket", running.socket)
    assert done.returncode == 78
    assert "findtime: 'x' is not a time value" in done.stderr
    assert "configuration not changed" in done.stderr
    assert running.metric("zmban_config_last_reload_successful") == 0
    running.attack(EVIL)
    until(lambda: EVIL in blackholes(host))
    write(running, "[smtp]\nmaxretry = 5\n")
    (answer,) = running.ask("reload")
    assert answer["jails"] == [{"jail": "smtp", "change": "changed", "options": ["maxretry"]}]
    assert running.metric("zmban_config_last_reload_successful") == 1


def test_failures_of_before_count_on_in_a_changed_jail_and_in_one_that_did_not(
    running: Running, host: Namespace
) -> None:
    same = f"[same]\nenabled=1\nfilter=zimbra-smtp\nmaxretry=3\nfindtime=1d\nlogpath={running.root}/logs/*.same\n"
    write(running, same)
    log = running.root / "logs/a.same"
    log.touch()
    running.ask("reload")
    until(lambda: f'source="{log}"' in running.get("/metrics")[1])
    running.attack(EVIL, times=1)
    running.attack(OTHER, times=2, log=log)
    until(lambda: running.metric('zmban_failures_total{jail="same"}') == 2)
    until(lambda: running.metric('zmban_failures_total{jail="smtp"}') == 1)
    write(running, f"{same}[smtp]\nbantime = 1h\nfailregex = %(known/failregex)s\n  ^ nothing <HOST>$\n")
    (answer,) = running.ask("reload")
    assert answer["jails"] == [{"jail": "smtp", "change": "changed", "options": ["filter", "bantime"]}]
    running.attack(EVIL, times=1)
    running.attack(OTHER, times=1, log=log)
    until(lambda: {EVIL, OTHER} <= blackholes(host))
    bans = {ban["network"]: ban for ban in running.ask("bans")}
    assert bans[f"{EVIL}/32"]["until"] < time.time() + 3700


def test_the_bans_of_a_jail_that_is_gone_stand_and_are_lifted_when_asked(
    running: Running, host: Namespace
) -> None:
    write(running, f"[more]\nenabled=1\nfilter=zimbra-smtp\nlogpath={running.log}\nmaxretry=9\n")
    running.ask("reload")
    running.attack(EVIL)
    until(lambda: EVIL in blackholes(host))
    write(running, "[smtp]\nenabled = false\n" + (running.root / "config/jail.local").read_text())
    (answer,) = running.ask("reload")
    assert (answer["jails"][0]["change"], answer["lifted"]) == ("removed", 0)
    assert EVIL in blackholes(host)
    running.attack(OTHER, times=3)
    time.sleep(0.5)
    assert OTHER not in blackholes(host)
    write(running, "[smtp]\nenabled = true\n")
    running.ask("reload")
    write(running, f"[last]\nenabled=1\nfilter=zimbra-smtp\nlogpath={running.log}\n[smtp]\nenabled = false\n")
    (answer,) = running.ask("reload", "--lift")
    assert answer["lifted"] == 1
    until(lambda: EVIL not in blackholes(host))


def test_whom_trust_or_ignoreip_protect_now_is_let_in_at_once(running: Running, host: Namespace) -> None:
    running.attack(EVIL)
    running.attack(OTHER)
    until(lambda: {EVIL, OTHER} <= blackholes(host))
    write(running, f"[DEFAULT]\nignoreip = {EVIL}\n")
    write(running, f'[trust]\nnodes = ["{OTHER}"]\n', "zmban.toml")
    running.ask("reload")
    assert blackholes(host) == set()
    write(running, "")
    write(running, "", "zmban.toml")
    running.ask("reload")
    assert blackholes(host) == {EVIL, OTHER}


def test_sighup_and_watch_do_the_same(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path, "", "--watch") as running:
        assert running.process is not None
        write(running, "[smtp]\nmaxretry = 7\n")
        until(lambda: "configuration reloaded: smtp changed maxretry" in running.said())
        # As Kubernetes replaces a ConfigMap: a link to another directory.
        for number in (1, 2):
            place = tmp_path / f"config/..{number}"
            place.mkdir()
            (place / "jail.local").write_text(f"[smtp]\nmaxretry = {number + 7}\n", encoding="utf-8")
        (tmp_path / "config/..data").symlink_to("..1")
        (tmp_path / "config/jail.local").unlink()
        (tmp_path / "config/jail.local").symlink_to("..data/jail.local")
        until(lambda: running.said().count("smtp changed maxretry") == 2)
        (tmp_path / "config/..next").symlink_to("..2")
        (tmp_path / "config/..next").rename(tmp_path / "config/..data")
        until(lambda: running.said().count("smtp changed maxretry") == 3)
        running.process.send_signal(signal.SIGHUP)
        until(lambda: "configuration reloaded: nothing changed" in running.said())


async def test_a_session_that_began_before_goes_on(host: Namespace, tmp_path: Path) -> None:
    async with in_process(tmp_path) as one:
        text = "[Definition]\nfailregex = ^<F-MLFID>s\\d+</F-MLFID> from <HOST>$\n  ^<F-MLFID>s\\d+</F-MLFID> bad$\n"
        (tmp_path / "config/filter.d").unlink()
        shutil.copytree(SHIPPED / "filter.d", tmp_path / "config/filter.d")
        (tmp_path / "config/filter.d/two.conf").write_text(
            text.replace("from <HOST>$", "from <F-NOFAIL><HOST></F-NOFAIL>$")
        )
        jail = "[two]\nenabled=1\nfilter=two\nlogpath=/x.log\nzmban.dry_run=true\n"
        (tmp_path / "config/jail.local").write_text(jail, encoding="utf-8")
        assert (await one.tell("reload"))["result"] == "reloaded"
        scanner = one.logs._scanner("/x.log", [one.parts.active.jails["two"]])
        now = time.time()
        list(scanner.scan(b"s1 from 203.0.113.7\n", now))
        (tmp_path / "config/jail.local").write_text(f"{jail}maxretry = 9\n", encoding="utf-8")
        await one.tell("reload")
        renewed = one.logs._scanner("/x.log", [one.parts.active.jails["two"]], scanner)
        (match,) = renewed.scan(b"s1 bad\n", now)
        assert isinstance(match, Match)
        assert match.host == "203.0.113.7"


async def test_a_wider_unit_gathers_what_was_counted_for_narrower_ones(
    host: Namespace, tmp_path: Path
) -> None:
    async with in_process(tmp_path) as one:
        jail = one.engine.jails["smtp"]
        for number in (1, 2):
            jail.window.restore(Network.parse(f"2001:db8:0:{number}::/64"), time.time() - number, "x")
        (tmp_path / "config/jail.local").write_text("[smtp]\nzmban.ipv6_prefix = 48\n", encoding="utf-8")
        await one.tell("reload")
        window = one.engine.jails["smtp"].window
        assert {str(n): window.count(n) for n in window} == {"2001:db8::/48": 2}


def test_a_comment_above_a_regex_changes_no_jail(tmp_path: Path) -> None:
    place = tmp_path / "config"
    shutil.copytree(SHIPPED, place)
    before = loading.load([str(place)])
    path = place / "filter.d/zimbra-smtp.conf"
    path.write_text(f"# one line more\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    assert str(compare(before, loading.load([str(place)]))) == "nothing changed"
