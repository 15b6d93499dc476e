"""Opens log files, and limits their descriptors, so that sockets, the database and netlink keep some.

With a limit of 64 and 100 logs, the logs would take all of them, and no command would be answered.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
from io import FileIO

from sidecar.model import SourceError

# Descriptors to keep free; with a low limit, this part of it.
_KEPT, _PART = 24, 3 / 8
# Concurrent calls to the file system, because each may need descriptors: a part of the limit, at least four.
_FEWEST_TURNS, _EACH = 4, 8
_UNLIMITED = 1 << 30
_SHORT = (errno.EMFILE, errno.ENFILE)
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def limit() -> int:
    """The limit of open files of this process; a large number if there is none."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft


def turns() -> int:
    """The number of concurrent calls to file systems."""
    return max(_FEWEST_TURNS, limit() // _EACH)


def must_leave_some(descriptor: int) -> None:
    """OSError (EMFILE) if the descriptor lies in the range kept free. The kernel assigns the lowest free
    number, so all below it are in use."""
    most = limit()
    if descriptor >= most - min(_KEPT, most * _PART):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def reason(error: Exception) -> str:
    """The reason of an error; without descriptors, with the limit and how to raise it."""
    if isinstance(error, OSError) and error.errno in _SHORT:
        text = f"too many open files: the limit is {limit()}"
        return f"{text}; raise the hard limit (LimitNOFILE= of systemd, ulimits: nofile of Compose)"
    return getattr(error, "strerror", None) or str(error)


def open_regular(path: str) -> FileIO:
    """Open a regular file for reading. SourceError for any other kind; OSError if it cannot be opened, or if
    the free descriptors are not for logs.

    Opening a FIFO waits for a writer, and opening a device may have side effects, so the kind is checked
    first. The file may be replaced in between, so it is opened with O_NONBLOCK and checked again.
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
