"""A database file that is damaged: found out, and put out of the way."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import time
from pathlib import Path

from sidecar.model import Instant
from sidecar.store import wal

_WAL = wal.SUFFIX
_SHM = "-shm"
# Beside a file that was set aside: not all that can be read of it is in the new one yet.
UNREAD = ".unread"
_ASIDE = ".damaged-"
# What was set aside is for a person to look at: the newest few, or a failing disk would be filled by them.
_MOST_ASIDE = 3

_LEAST_FREE = 1 << 20


def log_is_broken(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the write-ahead log of this database holds commits that SQLite did not take over when it was
    opened: to be asked before anything is written.

    Only SQLite itself may open the file and its index: closing them here would drop its locks, and the next
    program that looks into the database would cut the index away under our feet.
    """
    expected = wal.committed(path)
    _, valid, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    # Less than nothing where there is no log, or somebody else is at it.
    return 0 <= int(valid) < expected


def before_opening(path: Path) -> str:
    """What is wrong with a file that SQLite would not say, to be asked before it opens it; nothing if all is
    well."""
    try:
        if path.stat().st_size == 0 and _beside(path, _WAL).stat().st_size > 0:
            # It would take it for a new one, and throw the log away.
            return "its content is gone"
        with path.open("rb") as file:
            # The formats for writing and reading: of a later one SQLite would read, and write nothing.
            header = file.read(20)
    except OSError:
        return ""
    ours = header.startswith(b"SQLite format 3\0") and len(header) == 20
    return "its header makes no sense" if ours and not {*header[18:]} <= {1, 2} else ""


def aside(path: Path) -> list[Path]:
    """The damaged files that were set aside and still lie there, oldest first."""
    found: list[Path] = []
    with contextlib.suppress(OSError):
        found += path.parent.glob(f"{path.name}{_ASIDE}*")
    return sorted(file for file in found if not file.name.endswith((_WAL, _SHM, UNREAD)))


def set_aside(path: Path, now: Instant, *, unread: bool = False) -> Path:
    """Rename a database and its log out of the way; the new name. `unread` where not all that can be read of
    it is taken over. OSError where that cannot be done."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    names = (f"{path.name}{_ASIDE}{stamp}{more}" for more in ("", *(f"-{n}" for n in range(2, 100))))
    target = next(t for t in map(path.with_name, names) if not t.exists())
    with contextlib.suppress(FileNotFoundError):
        if unread and path.exists():
            _beside(target, UNREAD).touch()
        path.rename(target)
    # Under its name a log would be taken for that of the next database.
    with contextlib.suppress(FileNotFoundError):
        _beside(path, _WAL).rename(_beside(target, _WAL))
    _beside(path, _SHM).unlink(missing_ok=True)
    for old in aside(path)[:-_MOST_ASIDE]:
        for file in (old, *(_beside(old, more) for more in (_WAL, _SHM, UNREAD))):
            file.unlink(missing_ok=True)
    return target


def obstacle(path: Path) -> str | None:
    """Why the disk would not take this file whatever was in it; None where it would."""
    try:
        status = os.statvfs(path.parent)
    except OSError as error:
        return error.strerror
    if status.f_flag & os.ST_RDONLY:
        return os.strerror(errno.EROFS)
    if status.f_bavail * status.f_frsize < _LEAST_FREE:
        return os.strerror(errno.ENOSPC)
    return None if os.access(path.parent, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)


def size(path: Path) -> int:
    """How many bytes a file has, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def inode(path: Path) -> int | None:
    """Which file bears this name, None where none does. OSError where that cannot be told."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
