"""A street between two namespaces for kernel tests: a server's host, and attackers at the far end."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.netns import Namespace

SERVER4, NEAR4, FAR4 = "198.51.100.1", "198.51.100.66", "198.51.100.67"
SERVER6, LINK6 = "2001:db8:f::1", "2001:db8:f::2"
BANNED6, NEIGHBOUR6 = "2001:db8:66::7", "2001:db8:67::7"
WIDE_BANNED4, WIDE_KEPT4 = "10.9.0.1", "10.9.0.2"
PORT = 2520


@contextlib.contextmanager
def notifications() -> Iterator[Callable[[], int]]:
    """Gives a function that counts the route changes the kernel announced since it was last asked."""
    groups = 0x40 | 0x400  # RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as listening:
        listening.bind((0, groups))
        listening.setblocking(False)

        def count() -> int:
            seen = 0
            with contextlib.suppress(BlockingIOError):
                while listening.recv(65536):
                    seen += 1
            return seen

        yield count


class Street:
    """A host with a server behind one wire, and the attackers' machine at the other end of it."""

    def __init__(self, host: Namespace, attacker: Namespace) -> None:
        self.attacker = attacker
        host.ip("link", "add", "mail0", "type", "veth", "peer", "name", "evil0", "netns", attacker.name)
        host.ip("link", "set", "mail0", "up")
        attacker.ip("link", "set", "evil0", "up")
        host.address("mail0", f"{SERVER4}/24", f"{SERVER6}/64")
        attacker.address("evil0", f"{NEAR4}/24", f"{FAR4}/24", f"{WIDE_BANNED4}/32", f"{WIDE_KEPT4}/32")
        attacker.address("evil0", f"{LINK6}/64", f"{BANNED6}/64", f"{NEIGHBOUR6}/64")
        host.ip("route", "add", "10.9.0.0/16", "via", NEAR4)
        for prefix in ("2001:db8:66::/64", "2001:db8:67::/64"):
            host.ip("route", "add", prefix, "via", LINK6)
        self.servers = [
            socket.create_server((SERVER4, PORT), backlog=64),
            socket.create_server((SERVER6, PORT), family=socket.AF_INET6, backlog=64),
        ]

    def connects(self, source: str, patience: float = 10.0) -> bool:
        """Whether a TCP handshake from this address completes within `patience` seconds."""
        six = ":" in source
        with (
            self.attacker.inside(),
            socket.socket(socket.AF_INET6 if six else socket.AF_INET) as client,
        ):
            client.bind((source, 0))
            client.settimeout(patience)
            try:
                client.connect((SERVER6 if six else SERVER4, PORT))
            except TimeoutError:
                return False
            return True

    def refuses(self, source: str) -> bool:
        """Whether a handshake from this address hangs for a second; a neighbour needs microseconds."""
        return not self.connects(source, patience=1.0)

    def close(self) -> None:
        for server in self.servers:
            server.close()


@pytest.fixture
def street(host: Namespace) -> Iterator[Street]:
    """The host with its server, and attackers within reach."""
    attacker = Namespace()
    built = None
    try:
        built = Street(host, attacker)
        yield built
    finally:
        if built is not None:
            built.close()
        attacker.remove()
