"""Gives kernel tests network namespaces of their own; the machine's routing tables are never written."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CLONE_NEWNET = 0x40000000

SERVER4, NEAR4, FAR4 = "198.51.100.1", "198.51.100.66", "198.51.100.67"
SERVER6, LINK6 = "2001:db8:f::1", "2001:db8:f::2"
BANNED6, NEIGHBOUR6 = "2001:db8:66::7", "2001:db8:67::7"
WIDE_BANNED4, WIDE_KEPT4 = "10.9.0.1", "10.9.0.2"
PORT = 2520


def program(name: str, package: str) -> str:
    """The path of a tool; a missing one fails the test with the package to install, never skips it."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: apt-get install {package}")
    return found


class Namespace:
    """A network namespace that `ip netns` knows by a unique name; removed by `remove`."""

    def __init__(self) -> None:
        self.name = f"zmban-{uuid.uuid4().hex[:10]}"
        run(program("ip", "iproute2"), "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def remove(self) -> None:
        run(program("ip", "iproute2"), "netns", "del", self.name)

    def ip(self, *arguments: str) -> str:
        """What `ip` prints inside."""
        return run(program("ip", "iproute2"), "-n", self.name, *arguments)

    def json(self, *arguments: str) -> list[dict[str, Any]]:
        """What `ip -j` prints inside."""
        parsed: list[dict[str, Any]] = json.loads(self.ip("-j", *arguments) or "[]")
        return parsed

    def wire(self, name: str, *addresses: str) -> None:
        """An interface that is up, with addresses (a veth pair: not every kernel has dummies)."""
        self.ip("link", "add", name, "type", "veth", "peer", "name", f"{name}-far")
        self.ip("link", "set", f"{name}-far", "up")
        self.ip("link", "set", name, "up")
        self.address(name, *addresses)

    def address(self, name: str, *addresses: str) -> None:
        """Give an interface addresses, `address/length` or `address peer address`."""
        for address in addresses:
            nodad = ["nodad"] if ":" in address else []
            self.ip("addr", "add", *address.split(), "dev", name, *nodad)

    def routes(self, table: str) -> list[str]:
        """What `ip` shows of a table, both families; one that does not exist is empty."""
        lines: list[str] = []
        for family in ("-4", "-6"):
            command = [program("ip", "iproute2"), "-n", self.name, family, "route", "show", "table", table]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0 or "FIB table does not exist" in done.stderr, done.stderr
            lines += [line.strip() for line in done.stdout.splitlines()]
        return lines

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """This thread, the sockets it makes and the programs it starts are in the namespace."""
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(Path("/run/netns") / self.name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            enter(there)
            try:
                yield
            finally:
                enter(back)
        finally:
            os.close(there)
            os.close(back)


def enter(descriptor: int) -> None:
    """setns(2): Python has it from 3.12 on only."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def run(*command: str) -> str:
    """Standard output of a program that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


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


@pytest.fixture
def host() -> Iterator[Namespace]:
    """A namespace that plays the mail server's host; the test runs inside."""
    namespace = Namespace()
    try:
        with namespace.inside():
            yield namespace
    finally:
        namespace.remove()


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
