"""The service in trouble: lockouts, hung and rival processes, wrong requests, a host that changes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from sidecar.app.enforce.proof import CANARY
from sidecar.model import Ban
from sidecar.network import Network
from sidecar.store.database import Database
from tests.app.running import Running, in_process, service, until
from tests.app.test_service import EVIL, blackholes
from tests.cli.running import ZMBAN, zmban
from tests.netns import Namespace

pytestmark = pytest.mark.kernel
MANY = 20_000


def many_bans(state: Path) -> None:
    database = Database(state)
    first = Network.parse("10.64.0.0/10").value
    database.write([Ban(Network(4, first + n, 32), "smtp", 1.0, None, "log") for n in range(MANY)])
    database.close()


def started(running: Running, *options: str) -> None:
    """Start it without waiting."""
    places = ["--state", str(running.state), "--socket", str(running.socket)]
    command = [str(ZMBAN), "--config", str(running.root / "config"), "run", *places, *options]
    running.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("delay", [0.2, 0.5, 0.8, 1.2])
def test_a_flush_while_the_service_starts_is_final(host: Namespace, tmp_path: Path, delay: float) -> None:
    running = Running(tmp_path)
    many_bans(running.state)
    started(running)
    try:
        threading.Event().wait(delay)
        done = zmban("flush", "--socket", running.socket, "--state", running.state)
        assert done.returncode == 0, done.stderr
        until(lambda: "suspended" in running.get("/readyz")[1], 30)
        assert host.routes("2520") == []
        assert "2520" not in host.ip("rule")
    finally:
        running.stop()


def test_a_flush_of_a_service_that_hangs_goes_past_it(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        running.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        assert running.process is not None
        running.process.send_signal(signal.SIGSTOP)
        done = zmban("flush", "--socket", running.socket, "--state", running.state)
        assert done.returncode == 0, done.stderr
        assert host.routes("2520") == []
        running.process.send_signal(signal.SIGCONT)
        until(lambda: "suspended" in running.get("/readyz")[1])
        assert host.routes("2520") == []


def test_a_flush_works_where_nothing_can_be_written_and_says_what_that_means(host: Namespace) -> None:
    host.ip("route", "add", "blackhole", EVIL, "table", "2520", "proto", "222")
    done = zmban("flush", "--socket", "/nowhere.sock", "--state", "/proc/zmban")
    assert done.returncode == 0
    assert "stop zmban" in done.stderr
    assert host.routes("2520") == []


def test_a_flush_of_a_dry_run_takes_the_routes_of_an_earlier_run_too(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        running.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        running.stop()
        running.start("--dry-run")
        assert zmban("flush", "--socket", running.socket).returncode == 0
        assert host.routes("2520") == []


def test_many_commands_at_once_are_all_answered(host: Namespace, tmp_path: Path) -> None:
    running = Running(tmp_path)
    many_bans(running.state)
    running.start()
    try:
        commands = [
            subprocess.Popen([ZMBAN, "allow", f"198.51.100.{n}", "--reason", "x", "--socket", running.socket])
            for n in range(6)
        ]
        assert [command.wait(60) for command in commands] == [0] * 6
        assert {f"throw 198.51.100.{n} proto 222" for n in range(6)} <= set(host.routes("2520"))
        assert running.get("/readyz")[0] == 200
    finally:
        running.stop()


def test_a_wide_unban_reaches_the_kernel_before_the_answer(host: Namespace, tmp_path: Path) -> None:
    running = Running(tmp_path)
    many_bans(running.state)
    running.start()
    try:
        assert len(blackholes(host)) == MANY
        running.ask("allow", "10.64.0.0/10", "--reason", "x", "--force")
        assert not blackholes(host)
        assert not running.banned()
        running.ask("disallow", "10.64.0.0/10")
        assert len(blackholes(host)) == MANY
        running.ask("unban", *sorted(blackholes(host))[:2000])
        assert len(blackholes(host)) == MANY - 2000
    finally:
        running.stop()


def test_who_is_trusted_from_now_on_is_let_in_at_the_start(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        running.attack(EVIL)
        running.attack("203.0.113.9")
        until(lambda: blackholes(host) == {EVIL, "203.0.113.9"})
        running.stop()
        (tmp_path / "config/zmban.toml").write_text(
            '[trust]\nadmins = ["198.51.100.0/24"]\n', encoding="utf-8"
        )
        running.start()
        assert blackholes(host) == {"203.0.113.9"}
        suspended = {r["network"]: (r["enforced"], r["suspended"]) for r in running.ask("bans")}
        assert suspended == {"203.0.113.9/32": (True, None), f"{EVIL}/32": (False, "protected: ignored")}
        running.stop()
        (tmp_path / "config/zmban.toml").write_text("", encoding="utf-8")
        running.start()
        assert blackholes(host) == {EVIL, "203.0.113.9"}


# All of them by the socket; what a command says to which argument is tested without one.
WRONG = (
    b"{}",
    b"[]",
    b"",
    b"[" * 200_000,
    b"\xff\xfe",
    b'{"command": "nonsense"}',
    b'{"command": "bans", "arguments": {"contains": 5}}',
    b'{"command": "ban", "arguments": {"networks": 5, "reason": "x"}}',
    b'{"command": "ban", "arguments": {"networks": ["198.51.100.9"]}}',
    b'{"command": "ban", "arguments": {"networks": ["198.51.100.9"], "reason": "x", "until": "tomorrow"}}',
    b'{"command": "ban", "arguments": {"networks": ["198.51.100.9"], "reason": "x", "until": NaN}}',
    b'{"command": "ban", "arguments": {"networks": ["198.51.100.9"], "reason": "\\udce9"}}',
    b'{"command": "ban", "arguments": {"networks": ["198.51.100.9"], "reason": "x", "more": 1}}',
)


def test_a_wrong_request_is_answered_and_changes_nothing(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        for wrong in WRONG:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(running.socket))
                client.sendall(wrong + b"\n")
                answer = json.loads(client.makefile("rb").readline())
            assert answer["error"], wrong[:80]
        assert running.ask("bans") == []
        assert not blackholes(host)


def test_a_reason_in_another_encoding_is_kept_as_well_as_it_can_be(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        command = [str(ZMBAN).encode(), b"ban", b"198.51.100.9", b"--reason", b"caf\xe9", b"--socket"]
        subprocess.run([*command, str(running.socket).encode()], check=True, capture_output=True)
        (record,) = running.ask("bans")
        assert record["reason"] == "caf\ufffd"
        running.stop()
        running.start()
        assert running.banned() == {"198.51.100.9/32"}


def test_a_second_service_with_the_same_state_is_refused_before_it_touches_anything(
    host: Namespace, tmp_path: Path
) -> None:
    with service(tmp_path) as running:
        running.ask("ban", "198.51.100.0/24", "--reason", "x")
        running.ask("allow", "198.51.100.50", "--reason", "x")
        before = host.routes("2520")
        config = ("--config", tmp_path / "config", "run", "--listen", "127.0.0.1:9179")
        same_state = zmban(*config, "--state", running.state, "--socket", tmp_path / "two.sock")
        same_socket = zmban(*config, "--state", tmp_path / "two", "--socket", running.socket)
        for done, words in (
            (same_state, "another zmban works with this state"),
            (same_socket, "another zmban answers"),
        ):
            assert done.returncode == 78
            assert words in done.stderr
            assert "Traceback" not in done.stderr
        assert host.routes("2520") == before


def test_the_canary_and_connected_networks_cannot_be_taken_over(host: Namespace, tmp_path: Path) -> None:
    host.wire("mail0", "10.20.0.5/24")
    with service(tmp_path) as running:
        running.ask("allow", CANARY.address, "--reason", "x")
        assert f"blackhole {CANARY.address} proto 222" in host.routes("2520")
        done = zmban("ban", "10.20.0.0/24", "--reason", "x", "--socket", running.socket)
        assert done.returncode == 65
        assert "kept-reachable" in done.stderr
        running.ask("ban", "10.20.0.9", "--reason", "a neighbour")
        assert blackholes(host) == {"10.20.0.9"}


async def test_a_network_that_comes_up_later_is_protected_too(host: Namespace, tmp_path: Path) -> None:
    async with in_process(tmp_path) as one:
        gateway = Network.parse("10.77.0.1")
        one.ban(Ban(gateway, "manual", 1.0, None, "manual"))
        assert blackholes(host) == {"10.77.0.1"}
        host.wire("mail0", "10.77.0.5/24")
        host.ip("route", "add", "default", "via", "10.77.0.1")
        await one.protection.look_around()
        await one.settled()
        assert one.protection.guard.refuse(gateway) == "gateway"
        assert not blackholes(host)
        assert "throw 10.77.0.0/24 proto 222" in host.routes("2520")


def test_a_stop_under_load_ends_well_and_loses_nothing(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        over = threading.Event()

        def load() -> None:
            for n in range(200):
                running.attack(f"198.51.{n}.1", times=1)
                running.attack(f"198.51.{n}.1", times=1)
                if over.wait(0.005):
                    return

        writer = threading.Thread(target=load)
        writer.start()
        for _ in range(4):
            threading.Event().wait(0.25)
            assert running.stop() == 0
            running.start()
        over.set()
        writer.join()
        lines = running.log.read_text(encoding="utf-8").splitlines()
        attackers = {line.split("unknown[")[1].split("]")[0] for line in lines}
        counted = {a for a in attackers if sum(f"[{a}]" in line for line in lines) == 2}
        until(lambda: blackholes(host) == counted)
        assert "Traceback" not in running.said()
