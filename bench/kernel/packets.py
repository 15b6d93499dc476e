"""The section `packets`: round trips a second of a client that is not banned, by how many others are."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence

from bench.kernel.figures import Figures, Say, addresses, prefixes
from sidecar.kernel.route.routing_table import RoutingTable
from tests.kernel.conftest import FAR4, LINK6, PORT, SERVER4, SERVER6, Street
from tests.kernel.entries import put
from tests.netns import Namespace

_FAMILIES = {4: (socket.AF_INET, SERVER4, FAR4), 6: (socket.AF_INET6, SERVER6, LINK6)}
_WARM = 0.3


def measure(figures: Figures, sizes: Sequence[int], rounds: int, seconds: float, say: Say) -> None:
    """The table grows from nothing to the largest size in each round, and is measured at each."""
    host, far = Namespace(), Namespace()
    try:
        with host.inside(), contextlib.closing(RoutingTable()) as table:
            street = Street(host, far)
            table.ensure_rules()
            for version, most in ((4, max(sizes)), (6, min(300_000, max(sizes)))):
                everybody = addresses(most) if version == 4 else prefixes(most)
                with _echo(version):
                    for _ in range(rounds):
                        for size in (0, *(size for size in sizes if size <= most)):
                            put(table, dict(list(everybody.items())[:size]))
                            rate = _round_trips(street, version, seconds)
                            figures.add(f"packets/{size}/IPv{version}", rate)
                        put(table, {})
                say(f"packets: IPv{version} done")
            street.close()
    finally:
        host.remove()
        far.remove()


@contextlib.contextmanager
def _echo(version: int) -> Iterator[None]:
    """A process in the host's namespace that sends every datagram back."""
    family, server, _ = _FAMILIES[version]
    with socket.socket(family, socket.SOCK_DGRAM) as waiting:
        waiting.bind((server, PORT))
        child = os.fork()
        if not child:
            while True:
                waiting.sendto(*waiting.recvfrom(64))
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _round_trips(street: Street, version: int, seconds: float) -> float:
    """How many in a second, one after the other."""
    family, server, client = _FAMILIES[version]
    with street.attacker.inside():
        asking = socket.socket(family, socket.SOCK_DGRAM)
    with asking:
        asking.bind((client, 0))
        asking.connect((server, PORT))
        asking.settimeout(5)
        _count(asking, _WARM)
        return _count(asking, seconds)


def _count(asking: socket.socket, seconds: float) -> float:
    done, begin = 0, time.perf_counter()
    end = begin + seconds
    while time.perf_counter() < end:
        for _ in range(100):
            asking.send(b"x")
            asking.recv(64)
        done += 100
    return done / (time.perf_counter() - begin)
