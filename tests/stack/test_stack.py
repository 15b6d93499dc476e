"""The stack in containers with real Postfix and nginx: attackers are banned, and no other client is."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.app.running import until
from tests.monitoring import conftest as monitoring
from tests.monitoring.queries import ask, every_query, run_dashboard_queries
from tests.stack.conftest import ROOT, Stack, compose_missing

pytestmark = pytest.mark.stack
BRIDGE = "zmban-demo0"
METRICS = "127.0.0.1:9177"


def routes() -> set[str]:
    shown = subprocess.run(
        ["ip", "route", "show", "table", "2520"], capture_output=True, text=True, check=True
    )
    return {line.split()[1] for line in shown.stdout.splitlines() if line.startswith("blackhole")}


def some_attacker(stack: Stack) -> str:
    """A banned IPv4 attacker of the demonstration."""
    return next(n for n in sorted(stack.bans()) if n.startswith("198.51.100.")).removesuffix("/32")


class SynAcks:
    """Counts on the bridge the SYN-ACKs that the host sends to one address."""

    def __init__(self, address: str) -> None:
        self.count = 0
        self._address = socket.inet_aton(address)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
        self._socket.bind((BRIDGE, 0))
        self._socket.settimeout(0.2)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                frame = self._socket.recv(256)
            except TimeoutError:
                continue
            ip = frame[14:]
            if len(ip) >= 40 and frame[12:14] == b"\x08\x00" and ip[9] == 6 and ip[16:20] == self._address:
                self.count += (ip[4 * (ip[0] & 15) + 13] & 0x12) == 0x12

    def __enter__(self) -> SynAcks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()


def healthy(stack: Stack) -> bool:
    state = stack.run(
        "docker", "inspect", "--format", "{{.State.Health.Status}}", stack.container("demo-zmban")
    )
    return state == "healthy"


def said(stack: Stack) -> str:
    """What zmban logged last."""
    return stack.run("sh", "-c", f"docker logs --tail 40 {stack.container('demo-zmban')} 2>&1")


def test_every_attacker_is_banned_in_time_and_every_legitimate_login_succeeds(stack: Stack) -> None:
    assert stack.first.returncode == 0, stack.first.stdout + stack.first.stderr
    assert "BROKEN" not in stack.first.stdout
    for kind in (
        "sasl",
        "non-smtp",
        "aws-verify",
        "rfc1918-helo",
        "web-login",
        "plain-http",
        "invalid-method",
    ):
        assert kind in stack.first.stdout
    found = re.search(r"legitimate clients: (\d+) of (\d+) logins", stack.first.stdout)
    assert found is not None
    assert found.group(1) == found.group(2) != "0"
    assert len([n for n in stack.bans() if n.startswith("198.51.100.")]) >= 50
    assert any(n.startswith("2001:db8:bad") for n in stack.bans())
    assert all(record["enforced"] for record in stack.bans().values())


def test_a_banned_address_gets_no_answer_and_unban_lets_it_in_at_once(stack: Stack) -> None:
    attacker = some_attacker(stack)
    assert stack.knock(attacker, 3, 0.5) == 0, said(stack)
    stack.zmban("unban", attacker)
    assert stack.knock(attacker, 1, 2.0) == 1
    stack.zmban("ban", attacker, "--reason", "again")
    assert stack.knock(attacker, 2, 0.5) == 0


def test_a_restart_under_attack_lets_not_one_syn_ack_through(stack: Stack) -> None:
    attacker = some_attacker(stack)
    with SynAcks(attacker) as answers:
        restart = threading.Thread(
            target=stack.run, args=("docker", "restart", stack.container("demo-zmban"))
        )
        restart.start()
        assert stack.knock(attacker, 60, 0.1) == 0
        restart.join()
        until(lambda: healthy(stack), 60)
        assert stack.knock(attacker, 10, 0.1) == 0
    assert answers.count == 0
    stack.zmban("unban", attacker)
    with SynAcks(attacker) as answers:
        assert stack.knock(attacker, 1, 2.0) == 1
    assert answers.count >= 1, "the counter would have missed one"
    stack.zmban("ban", attacker, "--reason", "again")


def test_a_kill_loses_no_ban(stack: Stack) -> None:
    before, standing = stack.bans(), routes()
    stack.run("docker", "kill", "-s", "KILL", stack.container("demo-zmban"))
    assert routes() == standing
    stack.run("docker", "start", stack.container("demo-zmban"))
    until(lambda: healthy(stack), 60)
    after = stack.bans()
    assert after.keys() == before.keys()
    assert all(record["enforced"] for record in after.values())


def test_the_container_has_only_what_it_needs(stack: Stack) -> None:
    (inspected,) = json.loads(stack.run("docker", "inspect", stack.container("demo-zmban")))
    host = inspected["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert sorted(c.removeprefix("CAP_") for c in host["CapAdd"]) == ["DAC_READ_SEARCH", "NET_ADMIN"]
    assert host["ReadonlyRootfs"] is True
    assert host["Privileged"] is False
    assert not any(mount["Destination"] == "/var/run/docker.sock" for mount in inspected["Mounts"])
    assert {m["Destination"] for m in inspected["Mounts"] if not m["RW"]} >= {"/opt/zimbra/log", "/var/log"}
    missing = "import shutil, sys; sys.exit(any(map(shutil.which, ('gcc', 'make', 'pip', 'curl'))))"
    stack.run("docker", "exec", stack.container("demo-zmban"), "python3", "-c", missing)
    labels = inspected["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "zmban"


def test_every_query_of_the_dashboard_has_an_answer_from_the_running_stack(
    stack: Stack, tmp_path: Path
) -> None:
    until(lambda: healthy(stack), 60)
    configuration = yaml.safe_load(monitoring.quick_configuration([METRICS]))
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    listen = f"127.0.0.1:{monitoring.free_port()}"
    places = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    command = [
        monitoring.program("prometheus"),
        *places,
        f"--web.listen-address={listen}",
        "--log.level=error",
    ]
    process = subprocess.Popen(command)
    try:
        until(lambda: _scraped(f"http://{listen}"), 60)
        # Events for the metrics: a ban, an unban, log lines, and a client that must not be banned: this host
        # itself, as a client of its own server.
        stack.zmban("ban", "203.0.113.200", "--reason", "a test of the dashboard")
        stack.zmban("unban", "203.0.113.200")
        say_http_to_the_https_port(stack)
        # A rate needs two scrapes that differ.
        time.sleep(3)
        answers = run_dashboard_queries(f"http://{listen}")
    finally:
        process.kill()
        process.wait(20)
    assert len(answers) == len(list(every_query()))
    # All logs are read, so the panel of unread logs is empty; and nothing happened that is an annotation.
    empty = {name.partition(": ")[2] for name, series in answers.items() if not series}
    assert {name for name in empty if not name.startswith("annotation ")} == {"Logs that are not read A"}


def say_http_to_the_https_port(stack: Stack) -> None:
    (inspected,) = json.loads(stack.run("docker", "inspect", stack.container("demo-nginx")))
    places = dict(variable.split("=", 1) for variable in inspected["Config"]["Env"])
    with socket.create_connection((places["DEMO_ADDRESS"], int(places["DEMO_HTTPS_PORT"])), 5) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"400" in client.recv(64)


def _scraped(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2):
            found = ask(url, "query", query="count_over_time(zmban_enforced[1h]) >= 5")["result"]
            return bool(found)
    except (OSError, AssertionError):
        return False


def left_behind() -> list[str]:
    """What the demonstration wrote to this host's kernel: routes, rule, nftables table, routes to its clients."""
    shown = [
        ("ip", "-4", "route", "show", "table", "2520"),
        ("ip", "-6", "route", "show", "table", "2520"),
        ("ip", "-4", "rule", "show", "table", "2520"),
        ("ip", "-6", "rule", "show", "table", "2520"),
        ("ip", "route", "show", "proto", "223"),
        ("nft", "list", "table", "inet", "zmban"),
    ]
    done = (subprocess.run(command, capture_output=True, text=True, check=False) for command in shown)
    return [line for one in done for line in one.stdout.splitlines()]


def test_compose_down_takes_the_routes_of_the_demonstration_away(stack: Stack) -> None:
    # From here on the stack is down: the following tests need its network.
    stack.environment["DEMO_ON_STOP"] = "flush"
    stack.compose("up", "-d", "--no-build", "--no-deps", "demo-zmban")
    until(lambda: healthy(stack), 60)
    assert len(routes()) >= 50
    stack.compose("down")
    assert left_behind() == []


def test_the_other_compose_starts_it_too_and_its_down_leaves_nothing(stack: Stack) -> None:
    other = "1" if stack.environment.get("ZMBAN_COMPOSE") == "2" else "2"
    if reason := compose_missing(other):
        pytest.skip(reason)
    stack.down()
    second = Stack(ZMBAN_COMPOSE=other, ZMBAN_BUILD="no", DEMO_SECONDS="25")
    try:
        assert second.first.returncode == 0, second.first.stdout + second.first.stderr
        assert "BROKEN" not in second.first.stdout
        assert all(record["enforced"] for record in second.bans().values())
        assert len(routes()) >= 50
        second.compose("down")
        assert left_behind() == []
    finally:
        second.down()


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_missing_log_directory_is_named_and_not_created(stack: Stack, version: str, tmp_path: Path) -> None:
    if reason := compose_missing(version):
        pytest.skip(reason)
    stack.down()
    missing = tmp_path / "no-zimbra"
    places = {"ZIMBRA_LOG_DIR": str(missing), "ZIMBRA_SYSLOG_DIR": str(tmp_path)}

    def compose(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "scripts/compose.sh", *arguments],
            cwd=ROOT,
            env={**stack.environment, "ZMBAN_COMPOSE": version, "ZMBAN_PROJECT": "zmban-missing", **places},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    try:
        done = compose("up", "-d", "--no-build", "zmban")
        assert done.returncode != 0
        assert str(missing) in done.stdout + done.stderr
        assert not missing.exists()
    finally:
        compose("down", "-v")
