"""While the service stops, is killed and starts again, banned clients get no answer and all others do."""

from __future__ import annotations

import contextlib
import itertools
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.running import service, until
from tests.netns import Namespace, program, run

pytestmark = pytest.mark.kernel

SERVER, ROUTER, GOOD, PORT = "198.51.100.1", "198.51.100.66", "198.51.100.67", 2520
MANY = 1000
BANNED = [f"198.18.{number // 250}.{1 + number % 250}" for number in range(MANY)]
# Covers the maximum time of a stop, a kill and the starts after them many times.
_PAUSE = 0.0005


@pytest.fixture
def clients(host: Namespace, tmp_path: Path) -> Iterator[Namespace]:
    """The clients' machine with all their addresses, and a counter of answers to banned clients."""
    far = Namespace()
    try:
        host.ip("link", "add", "mail0", "type", "veth", "peer", "name", "evil0", "netns", far.name)
        for at, name, address in ((host, "mail0", SERVER), (far, "evil0", ROUTER)):
            at.ip("link", "set", name, "up")
            at.address(name, f"{address}/24")
        far.address("evil0", f"{GOOD}/24")
        host.ip("route", "add", "default", "via", ROUTER)
        addresses = tmp_path / "addresses"
        addresses.write_text("".join(f"address add {a}/32 dev lo\n" for a in BANNED), encoding="utf-8")
        far.ip("-batch", str(addresses))
        counting = "counter answered { }\nchain one { type filter hook prerouting priority filter;\n"
        counting += f"ip daddr 198.18.0.0/16 ip saddr {SERVER} counter name answered\n}}\n"
        with far.inside():
            run(program("nft", "nftables"), f"table inet counting {{\n{counting}}}")
        yield far
    finally:
        far.remove()


def answered(clients: Namespace) -> int:
    with clients.inside():
        text = run(program("nft", "nftables"), "list", "counter", "inet", "counting", "answered")
    return int(text.split("packets")[1].split()[0])


class Traffic:
    """Datagrams from every client, again and again, and a server that answers each; `good` counts the answers
    that the one who is not banned got."""

    def __init__(self, clients: Namespace) -> None:
        self.good, self._over = 0, threading.Event()
        self._server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._server.bind((SERVER, PORT))
        self._server.settimeout(0.1)
        with clients.inside():
            self._clients = [self._client(address) for address in (*BANNED, GOOD)]
        self._threads = [threading.Thread(target=work) for work in (self._answer, self._ask)]

    @staticmethod
    def _client(address: str) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, 0))
        made.setblocking(False)
        return made

    def _answer(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(OSError):
                self._server.sendto(*self._server.recvfrom(9))

    def _ask(self) -> None:
        good = self._clients[-1]
        for one in itertools.cycle(self._clients[:-1]):
            for client in (one, good):
                client.sendto(b"x", (SERVER, PORT))
            with contextlib.suppress(BlockingIOError):
                self.good += len(good.recv(9))
            if self._over.wait(_PAUSE):
                return

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        for one in (self._server, *self._clients):
            one.close()


def test_of_a_thousand_banned_none_is_answered_over_restarts(
    host: Namespace, clients: Namespace, tmp_path: Path
) -> None:
    root = tmp_path / "zmban"
    root.mkdir()
    with service(root) as running, Traffic(clients) as traffic:
        until(lambda: answered(clients) > MANY)
        running.ask("ban", *BANNED, "--reason", "x")
        until(lambda: running.metric('zmban_table_routes{family="ipv4"}') >= MANY)
        before = answered(clients)
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
            running.stop(number)
            good = traffic.good
            running.start()
            until(lambda good=good: traffic.good > good + 100)  # type: ignore[misc]
        assert answered(clients) == before
        assert len(running.banned()) == MANY
