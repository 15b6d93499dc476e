"""The chart's DaemonSet, played by Podman: it reads container logs, bans a real attacker, follows a changed configuration,
survives a kill, and is taken away clean."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.app.running import until
from tests.cli.running import records, zmban
from tests.helm.conftest import CHART, ROOT, extracted_helm
from tests.netns import Namespace
from tests.pods.podman import Podman, podman

pytestmark = pytest.mark.stack
LOG = "/var/log/pods/mail_zimbra-mta-0_1/mta/0.log"
NAME = "/var/log/containers/zimbra-mta-0_mail_mta-0123.log"
NODE, ATTACKER, OTHER = "192.0.2.10", "203.0.113.7", "203.0.113.8"
_VALUES = """
image: {repository: localhost/zmban, tag: test, pullPolicy: Never}
logs:
  zimbra: null
  syslog: null
  mta: {stdout: true, options: {zimbra_log: zimbra-mta-*_mail_mta-*.log}}
settings: {kernel: {namespace: own}}
"""


@pytest.fixture(scope="module")
def image() -> str:
    """zmban's image, built as `make up` builds it."""
    base = subprocess.run(
        ["sh", "scripts/base-image.sh"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    command = ["docker", "build", "-q", "--build-arg", f"BASE={base.stdout.strip()}", "-t", "zmban:test", "."]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return "zmban:test"


class Node:
    """A node with a network, and an attacker beside it."""

    def __init__(self, place: Path, image: str) -> None:
        self.host, self.attacker = Namespace(), Namespace()
        ip = self.host.ip
        ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.attacker.name)
        for one, addresses in (
            (self.host, (f"{NODE}/24",)),
            (self.attacker, ("192.0.2.1/24", f"{ATTACKER}/32", f"{OTHER}/32")),
        ):
            for address in addresses:
                one.ip("addr", "add", address, "dev", "eth0")
            one.ip("link", "set", "eth0", "up")
        ip("route", "add", "default", "via", "192.0.2.1")
        self.opened = podman(place, self.host)
        self.pods: Podman = self.opened.__enter__()
        self.pods.load(image)
        with self.host.inside():
            self._server = socket.create_server((NODE, 25))

    def connects(self, source: str) -> bool:
        """Whether a client gets a connection to the mail server of the node."""
        with self.attacker.inside(), socket.socket() as client:
            client.bind((source, 0))
            client.settimeout(1.0)
            try:
                client.connect((NODE, 25))
            except OSError:
                return False
        self._server.accept()[0].close()
        return True

    def fails(self, source: str, times: int = 2) -> None:
        """A failed login of this client, as containerd writes it, divided into parts."""
        for _ in range(times):
            first = f"mail postfix/smtpd[7]: warning: unknown[{source}]: SASL LOGIN "
            second = "authentication failed: authentication failure"
            now = subprocess.run(
                ["date", "-u", "+%Y-%m-%dT%H:%M:%S.%NZ"], capture_output=True, text=True, check=True
            ).stdout.strip()
            stamp = now[:19] + "+00:00"
            self.pods.write(LOG, f"{now} stdout P {stamp} {first}\n{now} stdout F {second}\n", add=True)

    def is_ready(self) -> bool:
        """Whether the service is ready, as the kubelet's probe asks."""
        with self.host.inside(), contextlib.suppress(OSError):
            return bool(urllib.request.urlopen("http://127.0.0.1:9177/readyz", timeout=3).status == 200)
        return False

    def bans(self) -> list[dict[str, Any]]:
        """What the service has banned, by its socket in the state directory."""
        return records(zmban("bans", "--jsonl", "--socket", self.pods.inside("/var/lib/zmban/control.sock")))

    def close(self) -> None:
        self._server.close()
        self.opened.__exit__(None, None, None)
        self.host.remove()
        self.attacker.remove()


@pytest.fixture
def node(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Node]:
    found = Node(tmp_path_factory.mktemp("pods"), image)
    yield found
    found.close()


def manifests(tmp_path: Path) -> list[dict[str, Any]]:
    """What the chart renders."""
    (tmp_path / "values.yaml").write_text(_VALUES)
    command = [
        str(extracted_helm(ROOT / ".cache/bin")),
        "template",
        "z",
        str(CHART),
        "-f",
        str(tmp_path / "values.yaml"),
    ]
    rendered = subprocess.run(command, capture_output=True, text=True, check=False)
    assert rendered.returncode == 0, rendered.stderr
    return [one for one in yaml.safe_load_all(rendered.stdout) if one]


def played(found: list[dict[str, Any]], pods: Podman) -> dict[str, Any]:
    """The DaemonSet for `podman kube play`. It knows no projected volumes: the node's directory /config holds what they
    would hold. On the node's network it takes no `ports`, so that probes name the number. Everything else stays as the
    chart has it."""
    maps = {one["metadata"]["name"]: one.get("data", {}) for one in found if one["kind"] == "ConfigMap"}
    (daemon,) = [one for one in found if one["kind"] == "DaemonSet" and one["metadata"]["name"] == "z-zmban"]
    for volume in daemon["spec"]["template"]["spec"]["volumes"]:
        for source in volume.pop("projected", {}).get("sources", ()):
            chosen = source["configMap"]
            data = maps[chosen["name"]]
            items = chosen.get("items") or [{"key": key, "path": key} for key in data]
            for item in items:
                pods.write(f"/config/{item['path']}", data[item["key"]])
            volume["hostPath"] = {"path": "/config", "type": "Directory"}
    for container in daemon["spec"]["template"]["spec"]["containers"]:
        numbers = {port["name"]: port["containerPort"] for port in container.pop("ports", ())}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            get = container[probe]["httpGet"]
            get["port"] = numbers.get(get["port"], get["port"])
    return dict(daemon)


def test_the_daemonset_protects_a_node_from_its_first_log_line_to_its_end(node: Node, tmp_path: Path) -> None:
    pods, host = node.pods, node.host
    pods.write(LOG, "")
    pods.inside(NAME).parent.mkdir(parents=True, exist_ok=True)
    pods.inside(NAME).symlink_to(LOG)
    pods.write("/daemon.yaml", yaml.safe_dump(played(manifests(tmp_path), pods)))
    pods.podman("kube", "play", "/daemon.yaml")
    until(node.is_ready, 120)
    assert node.connects(ATTACKER)
    node.fails(ATTACKER)
    until(lambda: any(ATTACKER in route for route in host.routes("2520")), 30)
    assert not node.connects(ATTACKER)
    assert node.connects(OTHER)
    (banned,) = node.bans()
    assert (banned["network"], banned["enforced"]) == (f"{ATTACKER}/32", True)
    # A changed configuration counts without a restart: an address that is ignored stays reachable under any ban.
    pods.write("/config/jail.d/99-changed.local", f"[DEFAULT]\nignoreip = {OTHER}\n")
    until(lambda: any(f"throw {OTHER}" in route for route in host.routes("2520")), 60)
    # A kill leaves no gap, and loses nothing. The kubelet would start the container again; Podman is told to.
    pods.podman("kill", "--signal", "KILL", "z-zmban-pod-zmban")
    assert not node.connects(ATTACKER)
    pods.podman("kube", "play", "--replace", "/daemon.yaml")
    assert not node.connects(ATTACKER)
    until(node.is_ready, 120)
    assert [one["network"] for one in node.bans()] == [f"{ATTACKER}/32"]
    assert not node.connects(ATTACKER)
    # What `helm uninstall` with uninstall=flush runs on each node.
    pods.podman("kube", "down", "/daemon.yaml")
    assert not node.connects(ATTACKER)
    pods.podman(
        "run", "--rm", "--network", "host", "--cap-drop", "ALL", "--cap-add", "NET_ADMIN",
        "-e", "ZMBAN_KERNEL_NAMESPACE=own", "-v", "/var/lib/zmban:/var/lib/zmban", "localhost/zmban:test",
        "flush", "--uninstall",
    )  # fmt: skip
    assert host.routes("2520") == []
    assert node.connects(ATTACKER)
    assert not [one.name for one in pods.inside("/var/lib/zmban").iterdir() if "suspend" in one.name]
