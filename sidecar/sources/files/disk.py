"""Asks a disk without waiting for one that hangs: each question has a thread, one at a time is open."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from io import FileIO
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from sidecar.model import Seconds, SourceError
from sidecar.sources.files.descriptors import must_leave_some

P = ParamSpec("P")
T = TypeVar("T")

# A disk that takes longer than this to answer is told as trouble; its thread is left alone.
PATIENCE: Seconds = 10.0
# File systems that other hosts write to, and whose server may stop answering.
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
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def detached(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Run it in a daemon thread of its own: neither the event loop nor a stop waits for it."""
    answer: Future[T] = Future()

    def work() -> None:
        if answer.set_running_or_notify_cancel():
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                answer.set_exception(error)
            else:
                answer.set_result(result)

    threading.Thread(target=work, daemon=True).start()
    return answer


class Disk(Executor):
    """What one log is asked of the file system; `name` is what the errors call it. All that share `turns` are
    asked so many at a time.

    Its threads are daemons: one that hangs in the kernel keeps neither the event loop nor a stop waiting.
    While one hangs no other question is asked, so that a dead server costs one thread for each log.
    """

    def __init__(
        self, name: str, patience: Seconds | None = None, turns: asyncio.Semaphore | None = None
    ) -> None:
        self._name, self._patience, self._turns = name, patience, turns
        self._open: Future[Any] | None = None
        self._since = 0.0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run it in a thread. SourceError while an earlier question is not answered."""
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
        """What the function returns. SourceError where it takes longer than `patience`, PATIENCE by default;
        an answer that comes later, or that nobody waits for any more, is closed if it can be."""
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


def open_regular(path: str) -> FileIO:
    """A regular file, opened for reading. SourceError for what is none; OSError where it cannot be opened, or
    only descriptors are left that are not for logs.

    To open a FIFO waits for a writer, and to open a device may do something: what it is, is asked before.
    The answer may be of another file by then, which is why it is opened without waiting and asked again.
    """
    _must_be_regular(path, os.stat(path))
    file = FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY))
    try:
        _must_be_regular(path, os.fstat(file.fileno()))
        must_leave_some(file.fileno())
    except BaseException:
        file.close()
        raise
    return file


def _must_be_regular(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for test, name in _KINDS if test(status.st_mode)), "something else")
        raise SourceError(f"{path} is {kind}; only regular files are read")


def remote(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """The kind of file system that a path lies on, if other hosts may write to it; else None."""
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
