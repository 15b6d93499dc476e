"""A real service in a network namespace for benchmarks, somebody who attacks it, and who hears of its routes."""

from __future__ import annotations

import os
import random
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from ipaddress import IPv4Address
from itertools import islice
from pathlib import Path

from bench.scan import zimbra
from bench.scan.generate import cache
from sidecar.kernel.netlink.codec import attributes, messages
from sidecar.kernel.netlink.connection import grow
from tests.app.running import Running
from tests.netns import Namespace

_ROUTE_GROUP, _NEWROUTE, _DESTINATION = 0x40, 24, 1
_PATIENCE = 30.0
# Of a start with 22,000 bans nothing may be lost.
_BUFFER = 256 << 20
_TICKS = 50
_FRESH = (
    "[fresh]\nenabled = true\nfilter = zimbra-smtp\nmaxretry = 1\nbantime = -1\nlogpath = {logs}/fresh.log\n"
)


class Listener:
    """The kernel's own announcements of new IPv4 routes, in the namespace of the thread that makes it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        grow(self._socket, _BUFFER)
        self._socket.bind((0, _ROUTE_GROUP))
        self._socket.settimeout(_PATIENCE)

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def wait(self, destination: bytes) -> float:
        """When a route to this address was announced, by the clock of `perf_counter`."""
        return next(when for heard, when in self.heard() if heard == destination)

    def heard(self) -> Iterator[tuple[bytes, float]]:
        """Every new route's address, and when it was announced. TimeoutError when all is quiet for long."""
        while True:
            data = self._socket.recv(1 << 16)
            now = time.perf_counter()
            for kind, _, _, start, end in messages(data):
                if kind == _NEWROUTE:
                    found = (v for name, v in attributes(data, start + 28, end) if name == _DESTINATION)
                    yield from ((destination, now) for destination in found)


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
        [(who, begun)] = self._fail(1).items()
        return (self._listener.wait(who) - begun) * 1000

    def burst(self, count: int) -> list[float]:
        """So many attack within a second; milliseconds until the route of each stands."""
        with ThreadPoolExecutor(1) as pool:
            listening = pool.submit(lambda: dict(islice(self._listener.heard(), count)))
            begun: dict[bytes, float] = {}
            end = time.perf_counter()
            for _ in range(_TICKS):
                end += 1 / _TICKS
                begun |= self._fail(count // _TICKS)
                time.sleep(max(0.0, end - time.perf_counter()))
            heard = listening.result()
        return [(heard[who] - when) * 1000 for who, when in begun.items()]

    def _fail(self, count: int) -> dict[bytes, float]:
        """So many attackers fail at once, by one write; when."""
        stamp = zimbra.stamp(datetime.now().astimezone())
        attackers = [IPv4Address(self._next + number) for number in range(count)]
        self._next += count
        lines = [
            f"{stamp}mail postfix/smtps/smtpd[1]: warning: unknown[{who}]: SASL LOGIN authentication failed: x\n"
            for who in attackers
        ]
        begun = time.perf_counter()
        self._file.write("".join(lines).encode())
        return dict.fromkeys((who.packed for who in attackers), begun)


@contextmanager
def attacked(
    jails: str, prepare: Callable[[Path], object] = lambda _: None
) -> Iterator[tuple[Running, Attacker]]:
    """A service in a namespace of its own, with a jail that bans at once; both are taken away afterwards.
    `prepare` gets the directory of its state before it starts."""
    host = Namespace()
    # Beside the cached logs, so that a backlog can be put in place by a link.
    root = Path(tempfile.mkdtemp(prefix="latency-", dir=cache()))
    try:
        with host.inside():
            running = Running(root, (_FRESH + jails).format(logs=root / "logs"))
            (root / "logs" / "fresh.log").touch()
            prepare(running.state)
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


def processor(pid: int) -> float:
    """Seconds of processor that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int, *, peak: bool = False) -> int:
    """Bytes of memory that a process holds now, or held at most."""
    field = "VmHWM" if peak else "VmRSS"
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(field))
