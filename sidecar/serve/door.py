"""Accepts connections of a listening socket while there is room and file descriptors."""

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
# Length of the accept queue; the kernel limits it to net.core.somaxconn.
BACKLOG = 1024
# A temporary shortage: connections wait in the accept queue, and accept is retried.
_SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_RETRY: Seconds = 1.0
_AT_ONCE = 32
_FEWEST, _PART = 4, 16


def share(most: int) -> int:
    """Maximum number of connections: `most`, or a sixteenth of the limit of open files, but at least four."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return most if soft == resource.RLIM_INFINITY else min(most, max(_FEWEST, soft // _PART))


class Door:
    """Accepts connections until `close`. `enter` gets each connection and owns it; `room` returns whether one
    more may be accepted, and may close another one for it. `at_once` are accepted per turn of the event loop.

    The servers of asyncio accept without a limit, and without descriptors they retry in a busy loop (uvloop
    drops the connection), without a log line.
    """

    def __init__(
        self,
        name: str,
        listening: socket.socket,
        enter: Callable[[socket.socket], Coroutine[Any, Any, None]],
        room: Callable[[], bool],
        at_once: int = _AT_ONCE,
    ) -> None:
        self._at_once = share(at_once)
        self._name, self._listening, self._enter, self._room = name, listening, enter, room
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._paused = False
        listening.setblocking(False)
        self._loop.add_reader(listening, self._accept)

    def _accept(self) -> None:
        for _ in range(self._at_once):
            if not self._room():
                # Resumed when a connection ends.
                self._loop.remove_reader(self._listening)
                return
            try:
                connection, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _SHORTAGES:
                    self._pause(error)
                    return
                # The client disconnected before it was accepted.
                continue
            if self._paused:
                self._paused = False
                _log.warning("%s: accepting connections again", self._name)
            connection.setblocking(False)
            task = self._loop.create_task(self._enter(connection))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _pause(self, error: OSError) -> None:
        if not self._paused:
            self._paused = True
            text = "%s: cannot accept connections (%s); clients wait, retrying every second"
            _log.error(text, self._name, error.strerror)
        self._loop.remove_reader(self._listening)
        self._retry = self._loop.call_later(_RETRY, self._resume)

    def _resume(self) -> None:
        self._retry = None
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening, self._accept)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s: request failed", self._name, exc_info=error)
        self.ask_again()

    def ask_again(self) -> None:
        """Resume accepting, because there may be room now."""
        if self._retry is None:
            self._resume()

    def close(self) -> None:
        """Stop accepting, and close all connections."""
        self._loop.remove_reader(self._listening)
        if self._retry is not None:
            self._retry.cancel()
        self._listening.close()
        for task in self._tasks:
            task.cancel()
