"""The whole service in a network namespace: a log line leads to a route, and the route stays."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from sidecar.app.enforce.proof import CANARY
from tests.app.running import Running, service, until
from tests.cli.running import ZMBAN, zmban
from tests.kernel.conftest import notifications
from tests.netns import Namespace, program

pytestmark = pytest.mark.kernel
EVIL, OTHER = "198.51.100.7", "198.51.100.8"


def blackholes(host: Namespace) -> set[str]:
    return {line.split()[1] for line in host.routes("2520") if line.startswith("blackhole")} - {
        CANARY.address
    }


def test_a_line_becomes_a_route_and_the_figures_tell_of_it(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as zmban_:
        zmban_.attack(EVIL)
        zmban_.attack("2001:db8:1::7")
        until(lambda: blackholes(host) == {EVIL, "2001:db8:1::/64"})
        record = next(r for r in zmban_.ask("bans") if r["network"] == f"{EVIL}/32")
        assert (record["jail"], record["origin"], record["until"]) == ("smtp", "log", None)
        assert zmban_.banned() == {f"{EVIL}/32", "2001:db8:1::/64"}
        assert zmban_.metric('zmban_bans_total{jail="smtp",origin="log"}') == 2
        assert zmban_.metric('zmban_failures_total{jail="smtp"}') == 4
        assert zmban_.metric("zmban_ban_latency_seconds_count") == 2
        until(lambda: zmban_.metric('zmban_bans_active{jail="smtp"}') == 2)
        assert zmban_.metric("zmban_enforced") == 1


def test_a_probe_is_ready_only_with_logs_read_and_the_canary_in_place(
    host: Namespace, tmp_path: Path
) -> None:
    with service(tmp_path) as zmban_:
        assert f"blackhole {CANARY.address} proto 222" in host.routes("2520")
        # If only this were removed, it would be restored at once.
        host.ip("route", "replace", "unreachable", CANARY.address, "table", "2520", "proto", "201")
        until(lambda: zmban_.get("/readyz")[0] == 503)
        assert "canary" in zmban_.get("/readyz")[1]
        assert zmban_.metric("zmban_enforced") == 0
        assert zmban_.get("/healthz")[0] == 200


def test_a_kill_loses_no_ban_and_counts_nothing_twice(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as zmban_:
        zmban_.attack(EVIL)
        zmban_.attack(OTHER, times=1)
        until(lambda: blackholes(host) == {EVIL})
        database = sqlite3.connect(zmban_.state / "zmban.sqlite3")
        until(lambda: database.execute("SELECT count(*) FROM failures").fetchone() == (1,))
        database.close()
        zmban_.stop(signal.SIGKILL)
        with notifications() as changes:
            zmban_.start()
            assert blackholes(host) == {EVIL}
            assert changes() == 0
        assert zmban_.metric('zmban_bans_total{jail="smtp",origin="log"}') == 0
        zmban_.attack(OTHER, times=1)
        until(lambda: blackholes(host) == {EVIL, OTHER})


def test_a_kill_right_behind_a_ban_leaves_no_gap(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as zmban_:
        zmban_.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        zmban_.stop(signal.SIGKILL)
        # Possibly nothing of it was committed: the line is read again while the route exists.
        with notifications() as changes:
            zmban_.start()
            until(lambda: zmban_.banned() == {f"{EVIL}/32"})
            assert changes() == 0, "a route was taken away and written anew"
        assert blackholes(host) == {EVIL}


def test_a_stop_keeps_the_routes_and_a_start_goes_on_where_it_stopped(
    host: Namespace, tmp_path: Path
) -> None:
    with service(tmp_path) as zmban_:
        zmban_.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        assert zmban_.stop() == 0
        assert blackholes(host) == {EVIL}
        zmban_.attack(OTHER)
        zmban_.start()
        until(lambda: blackholes(host) == {EVIL, OTHER})


def test_a_route_of_ours_that_nobody_knows_goes_once_the_logs_are_read(
    host: Namespace, tmp_path: Path
) -> None:
    with service(tmp_path) as zmban_:
        zmban_.stop()
        host.ip("route", "add", "blackhole", "203.0.113.77", "table", "2520", "proto", "222")
        host.ip("route", "add", "blackhole", "203.0.113.78", "table", "2520", "proto", "99")
        zmban_.start()
        until(lambda: blackholes(host) == {"203.0.113.78"})


def test_unban_works_at_once_and_forgets_the_failures(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as zmban_:
        zmban_.attack(EVIL)
        zmban_.attack("2001:db8:1::7")
        until(lambda: len(blackholes(host)) == 2)
        zmban_.attack(OTHER, times=1)
        assert [a["result"] for a in zmban_.ask("unban", EVIL, "2001:db8:1::7", OTHER)] == [
            "unbanned",
            "unbanned",
            "not-banned",
        ]
        until(lambda: not blackholes(host))
        zmban_.attack(OTHER, times=1)
        zmban_.attack("198.51.100.9")
        until(lambda: blackholes(host) == {"198.51.100.9"})


def test_a_manual_ban_keeps_its_evidence_over_a_restart(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as zmban_:
        lines = tmp_path / "lines"
        lines.write_text("what they did\nand again\n", encoding="utf-8")
        zmban_.ask("ban", "203.0.113.0/24", "--reason", "research", "--for", "1h", "--evidence", str(lines))
        assert blackholes(host) == {"203.0.113.0/24"}
        zmban_.stop()
        zmban_.start()
        (record,) = zmban_.ask("bans", "--contains", "203.0.113.9")
        assert (record["jail"], record["origin"], record["reason"]) == ("manual", "manual", "research")
        assert record["evidence"] == ["what they did", "and again"]
        assert record["enforced"]


def test_a_wide_ban_leaves_the_host_s_own_networks_reachable(host: Namespace, tmp_path: Path) -> None:
    host.wire("mail0", "10.20.0.5/24")
    host.ip("route", "add", "default", "via", "10.20.0.1")
    with service(tmp_path) as zmban_:
        zmban_.ask("ban", "10.20.0.0/16", "--reason", "too wide by mistake", "--yes")
        assert "blackhole 10.20.0.0/16 proto 222" in host.routes("2520")
        for kept in ("10.20.0.1", "10.20.0.5", "10.20.0.77"):
            assert "mail0" in host.ip("route", "get", kept) or "local" in host.ip("route", "get", kept)
        done = subprocess.run(
            [program("ip", "iproute2"), "-n", host.name, "route", "get", "10.20.9.9"],
            capture_output=True,
            check=False,
        )
        assert done.returncode != 0
        for refused, reason in (
            ("10.20.0.1", "gateway"),
            ("10.20.0.5", "own-address"),
            ("0.0.0.0/0", "too-wide"),
        ):
            answer = zmban("ban", refused, "--reason", "x", "--socket", zmban_.socket)
            assert answer.returncode == 65
            assert reason in answer.stderr


def test_an_allowed_client_is_let_in_and_not_banned_until_disallowed(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as zmban_:
        zmban_.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        zmban_.ask("allow", EVIL, "--reason", "on the telephone", "--for", "1h")
        assert f"throw {EVIL} proto 222" in host.routes("2520")
        assert not blackholes(host)
        zmban_.attack(EVIL)
        until(lambda: zmban_.metric('zmban_refused_total{jail="smtp",reason="ignored"}') == 2)
        (record,) = zmban_.ask("bans")
        assert not record["enforced"]
        assert record["suspended"].startswith("allowed until 2")
        assert record["suspended"].endswith(": on the telephone")
        assert zmban_.metric("zmban_enforced") == 1
        zmban_.ask("disallow", EVIL)
        assert blackholes(host) == {EVIL}
        assert f"throw {EVIL} proto 222" not in host.routes("2520")


def test_flush_is_the_way_out_and_lasts_over_a_restart_until_resume(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as zmban_:
        zmban_.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        places = ["--socket", str(zmban_.socket), "--state", str(zmban_.state)]
        assert zmban("flush", *places).returncode == 0
        assert host.routes("2520") == []
        assert "2520" not in host.ip("rule")
        assert zmban_.metric("zmban_enforced") == 0
        zmban_.attack(OTHER)
        until(lambda: {r["network"] for r in zmban_.ask("bans")} == {f"{EVIL}/32", f"{OTHER}/32"})
        zmban_.stop(signal.SIGKILL)
        zmban_.process = subprocess.Popen(
            [ZMBAN, "--config", tmp_path / "config", "run", *places], stderr=subprocess.DEVNULL
        )
        until(lambda: zmban_.get("/healthz")[0] == 200)
        assert host.routes("2520") == []
        assert "suspended" in zmban_.get("/readyz")[1]
        assert zmban("resume", "--socket", zmban_.socket).returncode == 0
        assert blackholes(host) == {EVIL, OTHER}
        assert zmban_.banned() == {f"{EVIL}/32", f"{OTHER}/32"}


def test_flush_works_without_a_service_and_with_a_broken_configuration(
    host: Namespace, tmp_path: Path
) -> None:
    with service(tmp_path) as zmban_:
        zmban_.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        zmban_.stop()
    (tmp_path / "config/zmban.toml").write_text("[kernel\n", encoding="utf-8")
    (zmban_.state / "zmban.sqlite3").write_text("broken", encoding="utf-8")
    host.ip("route", "add", "unreachable", "203.0.113.5", "table", "2520")
    done = zmban("--config", tmp_path / "config", "flush", "--socket", zmban_.socket, "--state", zmban_.state)
    assert done.returncode == 0, done.stderr
    assert host.routes("2520") == ["unreachable 203.0.113.5"]


def test_a_dry_run_decides_records_and_leaves_the_kernel_alone(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path, "", "--dry-run") as zmban_:
        zmban_.attack(EVIL)
        until(lambda: zmban_.ask("bans"))
        (record,) = zmban_.ask("bans")
        assert (record["dry"], record["enforced"]) == (True, False)
        assert host.routes("2520") == []
        zmban_.stop()
        zmban_.start()
        assert not blackholes(host)
        zmban_.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})


def test_a_log_that_appears_or_rotates_while_running_is_read(host: Namespace, tmp_path: Path) -> None:
    more = f"[more]\nenabled=true\nfilter=zimbra-smtp\nmaxretry=1\nlogpath={tmp_path}/logs/more*.log\n"
    with service(tmp_path, more) as zmban_:
        zmban_.attack("198.51.100.20", log=tmp_path / "logs/more-late.log")
        until(lambda: blackholes(host) == {"198.51.100.20"})
        zmban_.attack(EVIL, times=1)
        zmban_.log.rename(zmban_.log.with_suffix(".1"))
        zmban_.attack(EVIL, times=1)
        until(lambda: blackholes(host) == {"198.51.100.20", EVIL})


def test_bad_lines_are_refused_and_counted_and_the_rest_runs_on(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as zmban_:
        with zmban_.log.open("ab") as file:
            file.write(b"SASL authentication failed" * 400_000 + b"\n\0\0\xff\xfe\n")
        for host_ in ("999.1.1.1", "127.0.0.1", "0.0.0.0"):
            zmban_.attack(host_)
        zmban_.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        assert zmban_.metric('zmban_refused_total{jail="smtp",reason="line-too-long"}') == 1
        assert zmban_.metric('zmban_refused_total{jail="smtp",reason="invalid-address"}') == 2
        assert zmban_.metric('zmban_refused_total{jail="smtp",reason="reserved"}') == 4
        assert zmban_.get("/readyz")[0] == 200


def test_without_net_admin_it_ends_with_77_and_the_line_to_add(host: Namespace, tmp_path: Path) -> None:
    running = Running(tmp_path)
    command = [program("setpriv", "util-linux"), "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    command += [str(ZMBAN), "--config", str(tmp_path / "config"), "run"]
    command += ["--state", str(running.state), "--socket", str(running.socket)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 77
    assert "cap_add: [NET_ADMIN]" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_scraping_address_answers_too(host: Namespace, tmp_path: Path) -> None:
    host.wire("node0", "10.30.0.1/24")
    running = Running(tmp_path)
    (tmp_path / "config/zmban.toml").write_text('[serve]\nmetrics = "10.30.0.1:9178"\n', encoding="utf-8")
    try:
        running.start()
        for path in ("/metrics", "/healthz", "/readyz"):
            command = [program("curl", "curl"), "-sf", f"http://10.30.0.1:9178{path}"]
            done = subprocess.run(command, capture_output=True, check=False)
            assert done.returncode == 0
            assert done.stdout
    finally:
        running.stop()


def test_what_is_wider_than_may_be_is_banned_only_by_force_and_both_say_what_it_covers(
    host: Namespace, tmp_path: Path
) -> None:
    host.wire("mail0", "10.1.2.3/24")
    with service(tmp_path, settings="[kernel]\nwidest_ipv4 = 12\n") as running:
        running.ask("ban", "10.200.0.7", "--reason", "x")
        running.ask("ban", "172.16.0.0/12", "--reason", "x", "--yes")
        command = ("ban", "10.0.0.0/8", "--reason", "x", "--socket", running.socket)
        refused = zmban(*command)
        assert refused.returncode == 65
        # Its resolver may be inside too.
        covers = r"16,777,216 addresses, 1 active ban, [2-9] networks kept reachable"
        told = rf"10.0.0.0/8: refused \(too-wide\): {covers}; --force bans it\n"
        assert re.fullmatch(told, refused.stderr), refused.stderr
        forced = zmban(*command, "--force")
        assert re.fullmatch(f"10.0.0.0/8: banned: {covers}\n", forced.stdout), forced.stdout
        assert {"10.0.0.0/8", "172.16.0.0/12"} <= blackholes(host)
        assert {"throw 10.1.2.0/24 proto 222", "throw 10.1.2.3 proto 222"} <= set(host.routes("2520"))
        assert (
            zmban("ban", "127.0.0.0/8", "--reason", "x", "--force", "--socket", running.socket).returncode
            == 65
        )
