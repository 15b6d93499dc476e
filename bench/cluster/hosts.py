"""Measures with real hosts in network namespaces: how long a ban takes to the others, and a new host to
join."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.app.cluster.group import Group, Host
from tests.app.cluster.stranger import Stranger

os.environ["ZMBAN_KERNEL_NAMESPACE"] = "own"
_JAIL = "maxretry = 1\n"
_OLD = 3


def started(group: Group, strangers: list[Stranger]) -> None:
    """Start hosts that trust each other and some strangers."""
    for name, host in group.hosts.items():
        host.configure(_settings(group, name, strangers), _JAIL)
        host.start()
    group.connected()


def _settings(group: Group, name: str, strangers: list[Stranger]) -> str:
    others = ", ".join(f'"{one.name}={one.public}"' for one in strangers)
    return group.settings(name).replace("trust = [", f"trust = [{others}, ")


class Routes:
    """When each blackhole route came, as `ip monitor` tells it."""

    def __init__(self, host: Host) -> None:
        command = ["ip", "netns", "exec", host.namespace.name, "stdbuf", "-oL", "ip", "monitor", "route"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.seen: dict[str, float] = {}
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            words = line.split()
            if "blackhole" in words:
                self.seen[words[words.index("blackhole") + 1]] = time.monotonic()


@contextlib.contextmanager
def watched(host: Host) -> Iterator[Routes]:
    """Watch the routes of a host."""
    found = Routes(host)
    try:
        time.sleep(1)
        yield found
    finally:
        found.process.kill()
        found.process.wait()


def latencies(first: Host, second: Host, bans: int) -> list[float]:
    """Seconds from a line in the log of one host to the route of another one, sorted."""
    sent: dict[str, float] = {}
    with watched(second) as routes:
        for number in range(bans):
            address = f"198.18.{number // 250}.{number % 250 + 1}"
            first.attack(address)
            sent[address] = time.monotonic()
            time.sleep(0.03)
        time.sleep(2)
    return sorted(routes.seen[address] - at for address, at in sent.items() if address in routes.seen)


def fill(group: Group, strangers: list[Stranger], bans: int) -> float:
    """Write so many bans into Redis, as hosts do; returns the bytes that each takes there."""
    before = _memory(group)
    each = bans // len(strangers)
    with group.switch.inside():
        for number, one in enumerate(strangers):
            one.tell(
                "127.0.0.1", *(f"{100 + number}.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(each))
            )
    return (_memory(group) - before) / bans


def _memory(group: Group) -> int:
    lines = group.redis.cli("INFO", "memory").splitlines()
    return next(int(line.partition(":")[2]) for line in lines if line.startswith("used_memory:"))


def joined(group: Group, name: str, strangers: list[Stranger], bans: int) -> float:
    """Seconds from the start of a new host until so many routes stand."""
    host = group.add(name)
    host.configure(_settings(group, name, strangers), _JAIL)
    begun = time.monotonic()
    with host.namespace.inside():
        host.running.launch()
    while _count(host) < bans:
        if time.monotonic() - begun > 300:
            return float("inf")
        time.sleep(0.2)
    return time.monotonic() - begun


def _count(host: Host) -> int:
    command = ["ip", "-n", host.namespace.name, "route", "show", "table", "2520", "type", "blackhole"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.count("\n") - 1


def read(host: Host, lines: int) -> float:
    """Seconds until a host has read so many hostile lines that are written at once."""
    before = host.metric('zmban_matches_total{jail="smtp"}')
    line = "{} mail postfix/smtps/smtpd[1]: warning: unknown[{}]: SASL LOGIN authentication failed: x\n"
    stamp = time.strftime("%b %e %H:%M:%S")
    text = "".join(line.format(stamp, f"198.19.{i % 65536 >> 8}.{i & 255}") for i in range(lines))
    begun = time.monotonic()
    with host.running.log.open("a") as log:
        log.write(text)
    while host.metric('zmban_matches_total{jail="smtp"}') - before < lines:
        time.sleep(0.05)
    return time.monotonic() - begun


def group_of(root: Path, *names: str) -> Group:
    """A group in a directory."""
    root.mkdir()
    return Group(root, *names)


def strangers() -> list[Stranger]:
    """Hosts that were here before."""
    return [Stranger(f"old{number}") for number in range(_OLD)]
