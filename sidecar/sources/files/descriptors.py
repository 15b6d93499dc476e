"""How many descriptors logs may take: some are left to those who ask, to the database and to the kernel."""

from __future__ import annotations

import errno
import os
import resource

# So many are left, or so large a part of few.
_KEPT, _PART = 24, 3 / 8
# So many questions are asked of the disk at a time, for each may need some.
_FEWEST_TURNS, _EACH = 4, 8
_UNLIMITED = 1 << 30
_SHORT = (errno.EMFILE, errno.ENFILE)


def limit() -> int:
    """How many this process may have open; where nothing limits it, more than any needs."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft


def turns() -> int:
    """How many questions may be asked of disks at the same time."""
    return max(_FEWEST_TURNS, limit() // _EACH)


def must_leave_some(descriptor: int) -> None:
    """OSError (EMFILE) where, besides this one, only those are free that are not for logs. The kernel gives
    the lowest free number: all below it are taken."""
    most = limit()
    if descriptor >= most - min(_KEPT, most * _PART):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def reason(error: Exception) -> str:
    """Why something could not be opened or read, with the cure where descriptors are short."""
    if isinstance(error, OSError) and error.errno in _SHORT:
        text = f"too many open files: the limit is {limit()}"
        return f"{text}; raise the hard limit (LimitNOFILE= of systemd, ulimits: nofile of Compose)"
    return getattr(error, "strerror", None) or str(error)
