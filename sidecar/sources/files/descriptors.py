"""Limits the file descriptors of logs, so that sockets, the database and netlink keep some.

With a limit of 64 and 100 logs, the logs would take all of them, and no command would be answered.
"""

from __future__ import annotations

import errno
import os
import resource

# Descriptors to keep free; with a low limit, this part of it.
_KEPT, _PART = 24, 3 / 8
# Concurrent calls to the file system, because each may need descriptors: a part of the limit, at least four.
_FEWEST_TURNS, _EACH = 4, 8
_UNLIMITED = 1 << 30
_SHORT = (errno.EMFILE, errno.ENFILE)


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
