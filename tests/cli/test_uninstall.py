"""`zmban flush --uninstall` and `zmban self-test`: what the chart runs on each node, in a network namespace."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sidecar.app.enforce.proof import CANARY
from tests.app.running import Running, service, until
from tests.app.test_service import EVIL, blackholes
from tests.cli.running import ZMBAN, records, zmban
from tests.netns import Namespace, program

pytestmark = pytest.mark.kernel
TRIED = "198.51.100.253"


def flushed(running: Running, *options: str) -> tuple[int, str]:
    """Exit code and output of a flush with the places of this service."""
    places = ("--socket", running.socket, "--state", running.state)
    done = zmban("--config", running.root / "config", "flush", *options, *places)
    return done.returncode, done.stdout + done.stderr


def test_after_an_uninstall_nothing_is_left_and_a_later_installation_enforces(
    host: Namespace, tmp_path: Path
) -> None:
    before = (host.ip("rule"), host.ip("-6", "rule"))
    with service(tmp_path) as running:
        running.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        running.stop()
        assert blackholes(host) == {EVIL}
        code, said = flushed(running, "--uninstall")
        assert (code, "routes removed" in said) == (0, True), said
        assert host.routes("2520") == []
        assert (host.ip("rule"), host.ip("-6", "rule")) == before
        running.start()
        until(lambda: blackholes(host) == {EVIL})
        assert running.metric("zmban_suspended") == 0


def test_an_uninstall_ends_the_suspension_of_an_earlier_flush(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        assert flushed(running)[0] == 0
        running.stop()
        assert (running.state / "suspended").exists()
        assert flushed(running, "--uninstall")[0] == 0
        assert not (running.state / "suspended").exists()


def test_an_uninstall_beside_a_running_service_changes_nothing_and_says_what_to_stop(
    host: Namespace, tmp_path: Path
) -> None:
    with service(tmp_path) as running:
        running.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        code, said = flushed(running, "--uninstall")
        assert (code, "stop it" in said) == (78, True), said
        # Another state directory hides the service from the lock of the state, not from that of the table.
        elsewhere = zmban("flush", "--uninstall", "--state", tmp_path / "elsewhere")
        assert (elsewhere.returncode, f"with state {running.state}" in elsewhere.stderr) == (78, True)
        assert blackholes(host) == {EVIL}
        assert not (running.state / "suspended").exists()


def test_the_self_test_asks_the_kernel_and_leaves_no_ban(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        (record,) = running.ask("self-test")
        assert record["network"] == f"{TRIED}/32"
        assert 0 <= record["refused_after"] < 5
        assert 0 <= record["reachable_after"] < 5
        assert running.ask("bans") == []
        assert blackholes(host) == set()


def test_the_self_test_fails_where_packets_do_not_consult_the_table(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        host.ip("route", "add", TRIED, "dev", "lo", "table", "100")
        host.ip("rule", "add", "preference", "100", "to", TRIED, "lookup", "100")
        done = zmban("self-test", "--socket", running.socket)
        assert (done.returncode, "the kernel does not refuse it" in done.stderr) == (69, True), done
        assert running.ask("bans") == []


def test_the_self_test_lifts_no_ban_of_somebody_else(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        running.ask("ban", TRIED, "--reason", "real")
        done = zmban("self-test", TRIED, "--socket", running.socket)
        assert (done.returncode, "refused already" in done.stderr) == (69, True), done
        assert running.banned() == {f"{TRIED}/32"}


def test_the_self_test_of_a_suspended_service_and_of_none_fails_and_says_why(
    host: Namespace, tmp_path: Path
) -> None:
    with service(tmp_path) as running:
        flushed(running)
        done = zmban("self-test", "--socket", running.socket)
        assert (done.returncode, "zmban resume" in done.stderr) == (69, True), done
    done = zmban("self-test", "--socket", tmp_path / "none.sock")
    assert (done.returncode, "no service answers" in done.stderr) == (69, True), done


def test_the_self_test_of_a_dry_run_says_that_nothing_is_refused(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path, "", "--dry-run") as running:
        done = zmban("self-test", "--socket", running.socket)
        assert (done.returncode, "dry run" in done.stdout) == (0, True), done
        assert records(zmban("self-test", "--socket", running.socket, "--jsonl"))[0]["dry"]


def test_a_network_is_no_address_to_test_with() -> None:
    done = zmban("self-test", "198.51.100.0/24")
    assert (done.returncode, "not a single address" in done.stderr) == (64, True), done
    assert CANARY.address != TRIED


def with_rights(*capabilities: str) -> list[str]:
    """A command in front of another one: root with these capabilities only, as in a container of the chart."""
    kept = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    return [
        program("setpriv", "util-linux"),
        f"--bounding-set={kept}",
        f"--inh-caps={kept}",
        "--no-new-privs",
    ]


def test_both_need_no_right_but_net_admin(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        running.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        command = [*with_rights("net_admin"), str(ZMBAN)]
        tested = subprocess.run([*command, "self-test", "--socket", str(running.socket)], check=False)
        assert tested.returncode == 0
        running.stop()
        flush = [*command, "flush", "--uninstall", "--state", str(running.state)]
        assert subprocess.run(flush, check=False).returncode == 0
        assert host.routes("2520") == []
