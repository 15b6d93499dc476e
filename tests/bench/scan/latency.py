"""The section `latency`: a real service in a network namespace, from a line in a log to the route in the kernel."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path

from sidecar.kernel.codec import attributes, messages
from tests.app.running import Running, until
from tests.bench.scan import zimbra
from tests.bench.scan.generate import Log, cache, cached
from tests.netns import Namespace

Say = Callable[[str], None]
RATE = 10_000
IDLE_LOGS = 10
_ROUTE_GROUP, _NEWROUTE, _DESTINATION = 0x40, 24, 1
_PATIENCE = 30.0
# A backlog is over too soon for all samples; so often it is put there again.
_BACKLOGS = 8
_FRESH = (
    "[fresh]\nenabled = true\nfilter = zimbra-smtp\nmaxretry = 1\nbantime = -1\nlogpath = {logs}/fresh.log\n"
)
_BACKLOG = (
    "[backlog]\nenabled = true\nfilter = zimbra-smtp\nmaxretry = 2\nfindtime = 1000d\nbantime = -1\n"
    "logpath = {logs}/backlog*.log\n"
)


@dataclass
class Latency:
    """Milliseconds from the write of a line to the news of its route, one of each attacker."""

    name: str
    samples: list[float] = field(default_factory=list)

    def at(self, share: float) -> float:
        """The sample that this share of all does not exceed."""
        ordered = sorted(self.samples)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True)
class Idle:
    """A service with nothing to do: its share of one core in percent, and its memory."""

    logs: int
    seconds: float
    percent: float
    rss: int


class Listener:
    """The kernel's own announcements of new IPv4 routes, in the namespace of the thread that makes it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.bind((0, _ROUTE_GROUP))
        self._socket.settimeout(_PATIENCE)

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def wait(self, destination: bytes) -> float:
        """When a route to this address was announced, by the clock of `perf_counter`."""
        while True:
            data = self._socket.recv(1 << 16)
            now = time.perf_counter()
            if destination in data and destination in _routes(data):
                return now


def _routes(data: bytes) -> Iterator[bytes]:
    for kind, _, _, start, end in messages(data):
        if kind == _NEWROUTE:
            yield from (value for name, value in attributes(data, start + 28, end) if name == _DESTINATION)


class Attacker:
    """Writes one failed login after the other, each of somebody new, and measures how long he stays welcome."""

    def __init__(self, log: Path, listener: Listener) -> None:
        self._file = log.open("ab", buffering=0)
        self._listener = listener
        self._chance = random.Random(3)
        self._next = int(IPv4Address("198.18.0.0"))

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def sample(self, longest_pause: float) -> float:
        """Wait a while, attack; milliseconds until the route stands."""
        time.sleep(self._chance.uniform(0, longest_pause))
        self._next += 1
        who = IPv4Address(self._next)
        stamp = zimbra.stamp(datetime.now().astimezone())
        line = f"{stamp}mail postfix/smtps/smtpd[1]: warning: unknown[{who}]: SASL LOGIN authentication failed: x\n"
        begun = time.perf_counter()
        self._file.write(line.encode())
        return (self._listener.wait(who.packed) - begun) * 1000


@contextmanager
def _service(jails: str) -> Iterator[tuple[Running, Attacker]]:
    """A service in a namespace of its own, with a jail that bans at once; both are taken away afterwards."""
    host = Namespace()
    # Beside the cached logs, so that a backlog can be put in place by a link.
    root = Path(tempfile.mkdtemp(prefix="latency-", dir=cache()))
    try:
        with host.inside():
            running = Running(root, (_FRESH + jails).format(logs=root / "logs"))
            (root / "logs" / "fresh.log").touch()
            listener = Listener()
            attacker = Attacker(root / "logs" / "fresh.log", listener)
            try:
                running.start()
                yield running, attacker
            finally:
                if running.process is not None:
                    running.process.kill()
                    running.process.wait()
                attacker.close()
                listener.close()
    finally:
        host.remove()
        shutil.rmtree(root)


def measure(samples: int, lines: int, seconds: float, say: Say) -> tuple[list[Latency], Idle]:
    """All of it. PermissionError where this process may not make namespaces."""
    if os.geteuid():
        raise PermissionError("the section latency needs root: it makes network namespaces")
    found = [_quiet(samples), _busy(samples)]
    for one in found:
        say(f"{one.name}: p50 {one.at(0.5):.2f} ms, p99 {one.at(0.99):.2f} ms")
    found.append(_behind(samples, lines, say))
    return found, idle(seconds, say)


def _quiet(samples: int) -> Latency:
    with _service("") as (_, attacker):
        attacker.sample(0)
        return Latency("nothing else happens", [attacker.sample(0.05) for _ in range(samples)])


def _busy(samples: int) -> Latency:
    with _service("") as (running, attacker):
        command = [sys.executable, "-m", "tests.bench.scan.pour", str(running.log), str(RATE)]
        pouring = subprocess.Popen(command)
        try:
            until(lambda: running.log.stat().st_size)
            attacker.sample(0)
            taken = [attacker.sample(0.05) for _ in range(samples)]
        finally:
            pouring.kill()
            pouring.wait()
        return Latency(f"another log grows by {RATE:,} lines a second", taken)


def _behind(samples: int, lines: int, say: Say) -> Latency:
    """While a long log is read from its beginning, as after a downtime. Only samples that began while there was
    something left to read count."""
    backlog = cached(zimbra.QUIET, lines)
    found = Latency(f"a backlog of {backlog.bytes / 1e9:.1f} GB is being read")
    for _ in range(_BACKLOGS):
        taken = _while_reading(backlog, samples - len(found.samples))
        found.samples += taken
        say(f"{found.name}: {len(taken)} samples")
        if len(found.samples) >= samples:
            break
    return found


def _while_reading(backlog: Log, most: int) -> list[float]:
    with _service(_BACKLOG) as (running, attacker):
        attacker.sample(0)
        place = running.root / "logs" / "backlog.log"
        place.hardlink_to(backlog.path)
        series = f'zmban_lines_total{{source="{place}"}}'

        def read() -> float:
            return running.metric(series)

        until(read)
        taken: list[float] = []
        while len(taken) < most and read() < backlog.lines:
            taken += [attacker.sample(0.01) for _ in range(5)]
        return taken


def idle(seconds: float, say: Say) -> Idle:
    """What a service costs whose logs are quiet."""
    jails = "".join(
        f"[quiet-{n}]\nenabled = true\nfilter = zimbra-smtp\nlogpath = {{logs}}/quiet-{n}.log\n"
        for n in range(IDLE_LOGS - 2)
    )
    with _service(jails) as (running, attacker):
        for number in range(IDLE_LOGS - 2):
            (running.root / "logs" / f"quiet-{number}.log").touch()
        attacker.sample(0)
        assert running.process is not None
        # What a start leaves to do is not idling.
        time.sleep(min(10.0, seconds))
        before, begun = _processor(running.process.pid), time.monotonic()
        time.sleep(seconds)
        taken = time.monotonic() - begun
        percent = (_processor(running.process.pid) - before) / taken * 100
        found = Idle(IDLE_LOGS, taken, percent, _memory(running.process.pid))
    say(f"idle: {found.percent:.2f} % of a core, {found.rss / 2**20:.0f} MiB")
    return found


def _processor(pid: int) -> float:
    """Seconds of processor that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> int:
    """Bytes of memory that a process holds now."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmRSS"))
