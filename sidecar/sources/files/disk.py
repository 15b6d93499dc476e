"""Runs file system calls in threads, one at a time per log: a hung disk never blocks the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from sidecar.model import Seconds, SourceError
from sidecar.threads import detached

P = ParamSpec("P")
T = TypeVar("T")

# A call that takes longer than this is reported as an error; its thread is not waited for.
PATIENCE: Seconds = 10.0
# File systems that other hosts may write to, and that hang if their server does not respond.
_REMOTE = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "glusterfs",
    "afs",
    "ncpfs",
    "lustre",
    "gfs2",
    "ocfs2",
}


class Disk(Executor):
    """The file system calls of one log; `name` is used in errors. `turns` limits the concurrent calls of all
    that share it.

    The threads are daemons, so a stop does not wait for a hung call. While a call hangs, no other one is
    made, so that a dead server blocks only one thread per log.
    """

    def __init__(
        self, name: str, patience: Seconds | None = None, turns: asyncio.Semaphore | None = None
    ) -> None:
        self._name, self._patience, self._turns = name, patience, turns
        self._open: Future[Any] | None = None
        self._since = 0.0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in a thread. SourceError while an earlier call has not returned."""
        if self._open is not None and not self._open.done():
            raise SourceError(self._hanging())
        self._since = time.monotonic()
        self._open = answer = detached(fn, *args, **kwargs)
        return answer

    def _hanging(self) -> str:
        return f"{self._name}: the disk has not answered for {time.monotonic() - self._since:.0f} s"

    async def ask(
        self,
        function: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """The result of the function. SourceError if it takes longer than `patience`, by default PATIENCE. A
        result that comes later, or after a cancellation, is closed if it has `close`."""
        async with self._turns or contextlib.nullcontext():
            future = self.submit(function, *args, **kwargs)
            try:
                async with asyncio.timeout(self._patience or PATIENCE):
                    return await asyncio.wrap_future(future)
            except TimeoutError:
                future.add_done_callback(_close)
                raise SourceError(self._hanging()) from None
            except asyncio.CancelledError:
                future.add_done_callback(_close)
                raise


def _close(late: Future[T]) -> None:
    if not late.cancelled() and late.exception() is None:
        close = getattr(late.result(), "close", None)
        if close is not None:
            close()


def remote(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """The type of the file system of a path, if it is a network or FUSE file system; else None."""
    best, kind = "", ""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        before, _, behind = line.partition(" - ")
        point = before.split(" ")[4].encode().decode("unicode_escape")
        inside = str(path) == point or str(path).startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, behind.split(" ")[0]
    return kind if kind in _REMOTE or kind.startswith("fuse") else None
