"""Network namespaces for tests; the machine's own routing tables are never written."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CLONE_NEWNET = 0x40000000

# Whatever runs in a namespace of ours is meant to refuse there.
os.environ["ZMBAN_KERNEL_NAMESPACE"] = "own"


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
