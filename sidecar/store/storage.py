"""The file system below the database: whether it takes writes, and the size and inode of a file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_LEAST_FREE_BYTES = 1 << 20


def obstacle(path: Path) -> str | None:
    """Why the file system refuses any write to this file; None if it accepts writes."""
    try:
        status = os.statvfs(path.parent)
    except OSError as error:
        return error.strerror
    if status.f_flag & os.ST_RDONLY:
        return os.strerror(errno.EROFS)
    if status.f_bavail * status.f_frsize < _LEAST_FREE_BYTES:
        return os.strerror(errno.ENOSPC)
    return None if os.access(path.parent, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)


def size(path: Path) -> int:
    """Size of a file in bytes, 0 if it does not exist."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def inode(path: Path) -> int | None:
    """Inode of the file with this name, None if it does not exist. OSError if it cannot be determined."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
