"""Reads every page of a database in a thread of its own: SQLite cannot be asked to come back in time."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

from sidecar.model import Seconds

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# What the disk does not give back or take. Other failures of it, as too many open files, are not the file's.
_OF_THE_DISK = {
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE, sqlite3.SQLITE_IOERR_MMAP, sqlite3.SQLITE_IOERR_CORRUPTFS,
    sqlite3.SQLITE_IOERR_DATA,
}  # fmt: skip


def is_damage(error: Exception) -> bool:
    """Whether this says that the file will never be read or written whole."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _DAMAGED or code in _OF_THE_DISK


def is_of_the_disk(error: Exception) -> bool:
    """Whether this says that the disk failed, not what was read from it."""
    return getattr(error, "sqlite_errorcode", 0) in _OF_THE_DISK


def verdict(db: sqlite3.Connection, path: Path) -> str | None:
    """What is wrong with the first page that is damaged; None where none is. sqlite3.Error where that cannot
    be told."""
    (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
    return None if said == "ok" else f"{path}: {str(said).splitlines()[-1]}"


class Check:
    """Begins at once. `verdict` says what is wrong, None where nothing was found (yet)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.verdict: str | None = None
        self._thread = threading.Thread(target=self._run, name="check", daemon=True)
        self._thread.start()

    def ended(self, patience: Seconds = 0.0) -> bool:
        """Whether it has, within so many seconds."""
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            # A connection of its own: the other one works on meanwhile.
            with contextlib.closing(
                sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)
            ) as db:
                self.verdict = verdict(db, self.path)
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                self.verdict = f"{self.path}: {error}"
