"""Hosts in network namespaces with a real Redis between them."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sidecar.app.enforce.proof import CANARY
from sidecar.cluster.host_keys import new_key
from tests.app.running import Running, until
from tests.cli.running import zmban
from tests.netns import Namespace, program
from tests.trixie import trixie

REDIS = "10.90.0.1"
# The command of a server that may write into this directory.
Server = Callable[[Path], list[str]]


def redis(place: Path) -> list[str]:
    """The command of Debian's server; it reads its configuration from standard input."""
    return [program("redis-server", "redis-server"), "-", "--dir", str(place)]


def valkey(_: Path) -> list[str]:
    """The same of Valkey, which sees no file of this host."""
    return ["chroot", trixie(), "valkey-server", "-", "--dir", "/tmp"]


class Redis:
    """A server in a namespace; `options` are lines of its configuration."""

    def __init__(
        self,
        place: Path,
        namespace: Namespace,
        *options: str,
        port: int = 6379,
        bind: str = f"{REDIS} 127.0.0.1",
        server: Server = redis,
    ) -> None:
        self.place, self._namespace, self.port, self._server = place, namespace, port, server
        place.mkdir(exist_ok=True)
        lines = [
            f"port {port}",
            f"bind {bind}",
            "save ''",
            "protected-mode no",
            *options,
        ]
        (place / "redis.conf").write_text("\n".join(lines).replace("save ''", 'save ""') + "\n")
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command, options = self._server(self.place), self.place / "redis.conf"
        with self._namespace.inside(), options.open("rb") as given, (self.place / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=given, stdout=log, stderr=log)
        until(lambda: self.cli("PING", check=False) != "")

    def cli(self, *command: str, check: bool = True) -> str:
        """Run a command with redis-cli."""
        with self._namespace.inside():
            done = subprocess.run(
                ["redis-cli", "-p", str(self.port), *command],
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip() if done.returncode == 0 and "Could not connect" not in done.stderr else ""

    def cpu(self) -> float:
        """The CPU seconds that it has used."""
        lines = dict(line.split(":", 1) for line in self.cli("INFO", "cpu").splitlines() if ":" in line)
        return float(lines["used_cpu_sys"]) + float(lines["used_cpu_user"])

    def stop(self, number: int = signal.SIGKILL) -> None:
        """Stop it; nothing is saved."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.send_signal(signal.SIGCONT)
            self.process.wait(20)


class Host:
    """A namespace with a running zmban. `running` belongs into `inside()`."""

    def __init__(self, name: str, namespace: Namespace, root: Path) -> None:
        self.name, self.namespace = name, namespace
        root.mkdir(parents=True)
        self.running = Running(root)
        self.key_file = root / "key"
        text, self.public = new_key()
        self.key_file.write_text(text)

    def configure(self, settings: str, jail: str = "") -> None:
        """Write its settings, and options of its jail."""
        (self.running.root / "config/zmban.toml").write_text(settings)
        (self.running.root / "config/jail.local").write_text(f"[smtp]\n{jail}")

    def start(self, *options: str) -> None:
        """Start its zmban."""
        with self.namespace.inside():
            self.running.start(*options)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Stop its zmban."""
        self.running.stop(number)

    def ask(self, command: str, *arguments: str) -> list[dict[str, Any]]:
        """A command with --jsonl."""
        with self.namespace.inside():
            return self.running.ask(command, *arguments)

    def cluster(self, command: str = "status") -> Any:
        """What `zmban cluster` answers."""
        with self.namespace.inside():
            done = zmban("cluster", command, "--socket", self.running.socket, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def explain(self, address: str) -> Any:
        """What `zmban explain` answers."""
        with self.namespace.inside():
            done = zmban("explain", address, "--socket", self.running.socket, "--json")
        (record,) = json.loads(done.stdout)
        return record

    def metric(self, series: str) -> float:
        """The value of a series."""
        with self.namespace.inside():
            return self.running.metric(series)

    def attack(self, address: str, times: int = 1) -> None:
        """Failed logins in its log."""
        self.running.attack(address, times)

    def routes(self) -> set[str]:
        """The networks that its kernel refuses, without the canary."""
        found = {
            route["dst"] for family in ("-4", "-6")
            for route in self.namespace.json(family, "route", "show", "table", "2520", "type", "blackhole")
        }  # fmt: skip
        return found - {CANARY.address}

    def stop(self) -> None:
        """Kill it if it still runs."""
        process = self.running.process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(20)


class Group:
    """Hosts on one switch with a Redis server."""

    def __init__(
        self,
        root: Path,
        *names: str,
        options: tuple[str, ...] = (),
        server: Server = redis,
    ) -> None:
        self.root, self.switch = root, Namespace()
        self.switch.ip("link", "add", "br0", "type", "bridge")
        self.switch.ip("link", "set", "br0", "up")
        self.switch.address("br0", f"{REDIS}/24")
        self.hosts: dict[str, Host] = {}
        # Hosts that are played by a test: their public keys by name.
        self.played: dict[str, str] = {}
        for name in names:
            self.add(name)
        try:
            self.redis = Redis(root / "redis", self.switch, *options, server=server)
        except BaseException:
            self._remove()
            raise

    def add(self, name: str) -> Host:
        """A further host, which is not started."""
        namespace, number = Namespace(), len(self.hosts) + 10
        port = f"port{number}"
        self.switch.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace.name)
        self.switch.ip("link", "set", port, "master", "br0", "up")
        namespace.ip("link", "set", "eth0", "up")
        namespace.address("eth0", f"10.90.0.{number}/24")
        namespace.ip("route", "add", "default", "via", REDIS)
        self.hosts[name] = Host(name, namespace, self.root / name)
        return self.hosts[name]

    def settings(self, name: str, more: str = "") -> str:
        """The settings of a host that knows all others by their keys."""
        keys = {**{n: h.public for n, h in self.hosts.items() if n != name}, **self.played}
        trust = ", ".join(f'"{n}={key}"' for n, key in keys.items())
        key = self.hosts[name].key_file
        url = "" if "url =" in more else f'url = "redis://{REDIS}"\n'
        return f'[cluster]\n{url}host = "{name}"\nkey_file = "{key}"\ntrust = [{trust}]\n{more}'

    def start(self, jail: str = "", more: str = "") -> None:
        """Start all hosts, and wait until they are connected."""
        for name, host in self.hosts.items():
            host.configure(self.settings(name, more), jail)
            host.start()
        self.connected()

    def connected(self) -> None:
        """Wait until all hosts are connected and know of each other."""
        for host in self.hosts.values():
            until(lambda host=host: host.cluster()["up"], 30)  # type: ignore[misc]

    def slow(self, name: str, rate: str) -> None:
        """Let so much pass between a host and Redis in each direction, and drop what is late by a second."""
        far, port = self.hosts[name].namespace, f"port{10 + list(self.hosts).index(name)}"
        for place, device in ((self.switch, port), (far, "eth0")):
            tc = ["tc", "-n", place.name, "qdisc", "replace", "dev", device, "root"]
            tc += ["tbf", "rate", rate, "burst", "3000", "latency", "1s"]
            subprocess.run(tc, check=True, capture_output=True)

    def close(self) -> None:
        """Stop everything."""
        for host in self.hosts.values():
            host.stop()
        self.redis.stop()
        self._remove()

    def _remove(self) -> None:
        for host in self.hosts.values():
            host.namespace.remove()
        self.switch.remove()


@contextlib.contextmanager
def group(root: Path, *names: str, options: tuple[str, ...] = (), server: Server = redis) -> Iterator[Group]:
    """A group of hosts that are not started."""
    found = Group(root, *names, options=options, server=server)
    try:
        yield found
    finally:
        found.close()
