"""A link between a host and its switch that delays and drops frames, for kernels without netem."""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import struct
import threading
import time

from tests.app.cluster.group import REDIS, Group
from tests.netns import Namespace

_TUNSETIFF, _TAP = 0x400454CA, 0x0002 | 0x1000


def tap(place: Namespace, name: str) -> int:
    """A device whose frames are read from and written to this descriptor."""
    with place.inside():
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH14x", name.encode(), _TAP))
    return descriptor


class Link:
    """Two devices, and what delays and drops the frames between them."""

    def __init__(self, first: int, second: int) -> None:
        self._other = {first: second, second: first}
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._chance, self._number, self._ends = random.Random(1), 0, False
        self.delay = self.jitter = self.loss = 0.0
        self.lost = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ends:
            due = self._waiting[0][0] - time.monotonic() if self._waiting else 0.1
            ready, _, _ = select.select(list(self._other), [], [], min(max(due, 0.0), 0.1))
            for one in ready:
                self._take(one)
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                _, _, to, frame = heapq.heappop(self._waiting)
                os.write(to, frame)

    def _take(self, one: int) -> None:
        frame = os.read(one, 65536)
        if self._chance.random() < self.loss:
            self.lost += 1
            return
        self._number += 1
        at = time.monotonic() + self.delay + self._chance.uniform(-self.jitter, self.jitter)
        heapq.heappush(self._waiting, (at, self._number, self._other[one], frame))

    def close(self) -> None:
        """Remove both devices."""
        self._ends = True
        self._thread.join()
        for one in self._other:
            os.close(one)


def linked(found: Group, name: str) -> Link:
    """Replace the wire of a host that has not started."""
    far, number = found.hosts[name].namespace, 10 + list(found.hosts).index(name)
    port = f"port{number}"
    found.switch.ip("link", "del", port)
    link = Link(tap(found.switch, port), tap(far, "eth0"))
    found.switch.ip("link", "set", port, "master", "br0", "up")
    far.ip("link", "set", "eth0", "up")
    far.address("eth0", f"10.90.0.{number}/24")
    far.ip("route", "add", "default", "via", REDIS)
    return link
