"""One owner of a routing table in a network namespace: the process that holds the abstract unix socket of its
name.

Such names belong to the network namespace, as routes do, and are released when their process ends; the kernel
gives a name to one process only. Any user of the host may take a name, so a holder counts only if it is root
or our own user, by SO_PEERCRED of the listening socket, which cannot be forged. An nftables table with an
owner would need no such check, but Linux 5.12.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Literal

from sidecar.kernel.netlink.codec import TABLE_MAIN
from sidecar.model import KernelError

_CREDENTIALS = struct.Struct("=iII")
# A holder answers at once; one that hangs is still known by its process.
_TIMEOUT = 1.0
_LONGEST = 8192


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a table. `pid` is as seen from here, 0 in another PID namespace; `uid` is -1 if unknown.
    `calls_itself` and `state` are what it says: its own process number and state directory, or ""."""

    pid: int = 0
    uid: int = -1
    calls_itself: str = ""
    state: str = ""

    @property
    def counts(self) -> bool:
        """Whether it may write routes; other users only took the name."""
        return self.uid in (0, os.geteuid())

    def __str__(self) -> str:
        who = f"process {self.pid}" if self.pid else "a process of another container"
        if not self.pid and self.calls_itself:
            who += f", there {self.calls_itself},"
        return f"{who} with state {self.state}" if self.state else who


class Owner:
    """Owns the table until `close`, or until this process ends, and answers with pid and state directory."""

    def __init__(self, held: socket.socket, state: str) -> None:
        self._socket = held
        self._words = f"{os.getpid()}\t{state}".encode(errors="replace")[:_LONGEST]
        # A thread, because it must answer while the event loop reads a million bans.
        self._thread = threading.Thread(target=self._answer, name="owner", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Release the table."""
        with contextlib.suppress(OSError):
            # Only this wakes the thread.
            self._socket.shutdown(socket.SHUT_RDWR)
        # While the thread waits, the kernel keeps the name.
        self._thread.join(2 * _TIMEOUT)
        self._socket.close()

    def _answer(self) -> None:
        while True:
            try:
                asking, _ = self._socket.accept()
            except OSError as fault:
                if fault.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    threading.Event().wait(_TIMEOUT)
                    continue
                return
            with asking, contextlib.suppress(OSError):
                # Never blocks: it fits into the buffer of the connection.
                asking.setblocking(False)
                asking.send(self._words)


def take(table: int, state: str) -> Owner | None:
    """Own this table in the network namespace of this thread; None if another process holds it. KernelError
    if that is unknown."""
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        held.bind(_name(table))
        held.listen()
    except OSError as fault:
        held.close()
        if fault.errno == errno.EADDRINUSE:
            return None
        raise KernelError(f"table {named(table)} cannot be locked: {fault.strerror}") from fault
    return Owner(held, state)


def holder(table: int) -> Holder | None:
    """The holder of this table; None if there is none, or if it cannot be reached. Takes a second at most."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as asking:
        asking.settimeout(_TIMEOUT)
        try:
            asking.connect(_name(table))
            told = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return None
        pid, uid, _ = _CREDENTIALS.unpack(told)
        words = b""
        with contextlib.suppress(OSError):
            words = asking.recv(_LONGEST)
    calls_itself, _, state = words.decode(errors="replace").partition("\t")
    return Holder(pid, uid, calls_itself if calls_itself.isdecimal() else "", _printable(state))


def number(table: int | Literal["main"]) -> int:
    """A table as the kernel numbers it."""
    return TABLE_MAIN if table == "main" else table


def named(table: int) -> str:
    """A table as it is written in zmban.toml."""
    return "main" if table == TABLE_MAIN else str(table)


def _name(table: int) -> str:
    return f"\0zmban/table/{table}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
