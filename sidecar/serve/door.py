"""A listening socket whose connections are accepted one by one, as far as there is room and descriptors."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from sidecar.model import Seconds

_log = logging.getLogger("zmban.serve")
# The kernel keeps so many more waiting, as far as its own bound (net.core.somaxconn) allows.
BACKLOG = 1024
# What is short for the moment: who asks waits in the kernel's queue, and it is tried again.
_SHORT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_RETRY: Seconds = 1.0
_AT_ONCE = 32
_FEWEST, _PART = 4, 16


def share(most: int) -> int:
    """How many may be connected at a time: so many, or a part of few descriptors."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return most if soft == resource.RLIM_INFINITY else min(most, max(_FEWEST, soft // _PART))


class Door:
    """Accepts until it is closed. `enter` is given each connection, and owns it; `room` says whether one more
    may come in, and may make room for it.

    asyncio's own servers accept without end, and where descriptors are short they try again without a pause
    (uvloop throws the connection away), and say nothing.
    """

    def __init__(
        self,
        name: str,
        listening: socket.socket,
        enter: Callable[[socket.socket], Coroutine[Any, Any, None]],
        room: Callable[[], bool],
    ) -> None:
        self._name, self._listening, self._enter, self._room = name, listening, enter, room
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._short = False
        listening.setblocking(False)
        self._loop.add_reader(listening, self._come)

    def _come(self) -> None:
        for _ in range(share(_AT_ONCE)):
            if not self._room():
                # Looked at again when somebody leaves.
                self._loop.remove_reader(self._listening)
                return
            try:
                connection, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _SHORT:
                    self._wait(error)
                    return
                # The caller went away before he was let in.
                continue
            if self._short:
                self._short = False
                _log.warning("%s: connections are accepted again", self._name)
            connection.setblocking(False)
            task = self._loop.create_task(self._enter(connection))
            self._tasks.add(task)
            task.add_done_callback(self._left)

    def _wait(self, error: OSError) -> None:
        if not self._short:
            self._short = True
            text = "%s: no connection can be accepted (%s); who asks waits, and it is tried every second"
            _log.error(text, self._name, error.strerror)
        self._loop.remove_reader(self._listening)
        self._retry = self._loop.call_later(_RETRY, self._again)

    def _again(self) -> None:
        self._retry = None
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening, self._come)

    def _left(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s: a request broke", self._name, exc_info=error)
        self.ask_again()

    def ask_again(self) -> None:
        """There may be room now for who waits."""
        if self._retry is None:
            self._again()

    def close(self) -> None:
        """Let nobody in any more; those who are inside are sent away."""
        self._loop.remove_reader(self._listening)
        if self._retry is not None:
            self._retry.cancel()
        self._listening.close()
        for task in self._tasks:
            task.cancel()
