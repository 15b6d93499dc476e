"""Detects a damaged database file, and sets it aside."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

from sidecar.model import Instant
from sidecar.store.repair import wal

_WAL = wal.SUFFIX
_SHM = "-shm"
# Suffix of a marker beside a file set aside: the salvage of this file is not finished.
UNREAD = ".unread"
_ASIDE = ".damaged-"
# Only the newest files set aside are kept, so that a failing disk is not filled with them.
_MOST_ASIDE = 3


def log_is_broken(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the write-ahead log holds commits that SQLite did not accept at opening. Must be called before
    the first write.

    The database and its index (-shm) must not be opened here: closing them would drop the POSIX locks of
    SQLite, and another program could then truncate the index while it is in use.
    """
    expected = wal.committed(path)
    _, valid, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    # -1 if there is no log or the database is locked.
    return 0 <= int(valid) < expected


def before_opening(path: Path) -> str:
    """Damage that SQLite would not report, as a text, "" if there is none. Must be called before SQLite opens
    the file."""
    try:
        if path.stat().st_size == 0 and _beside(path, _WAL).stat().st_size > 0:
            # SQLite would treat the file as new and discard the log.
            return "the file is empty, but its write-ahead log is not"
        with path.open("rb") as file:
            # Bytes 18 and 19 are the write and read format. A newer write format makes the file read-only.
            header = file.read(20)
    except OSError:
        return ""
    is_sqlite = header.startswith(b"SQLite format 3\0") and len(header) == 20
    return "invalid file header" if is_sqlite and not {*header[18:]} <= {1, 2} else ""


def aside(path: Path) -> list[Path]:
    """The damaged files that were set aside, oldest first."""
    found: list[Path] = []
    with contextlib.suppress(OSError):
        found += path.parent.glob(f"{path.name}{_ASIDE}*")
    return sorted(file for file in found if not file.name.endswith((_WAL, _SHM, UNREAD)))


def set_aside(path: Path, now: Instant, *, unread: bool = False) -> Path:
    """Rename a database and its log, and return the new name. `unread`: the salvage of the file is not
    finished. OSError on failure."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    names = (f"{path.name}{_ASIDE}{stamp}{more}" for more in ("", *(f"-{n}" for n in range(2, 100))))
    target = next(t for t in map(path.with_name, names) if not t.exists())
    with contextlib.suppress(FileNotFoundError):
        if unread and path.exists():
            _beside(target, UNREAD).touch()
        path.rename(target)
    # A log left under its name would be applied to the next database.
    with contextlib.suppress(FileNotFoundError):
        _beside(path, _WAL).rename(_beside(target, _WAL))
    _beside(path, _SHM).unlink(missing_ok=True)
    for old in aside(path)[:-_MOST_ASIDE]:
        for file in (old, *(_beside(old, more) for more in (_WAL, _SHM, UNREAD))):
            file.unlink(missing_ok=True)
    return target


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
