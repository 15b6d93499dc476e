"""Gives unused space back to the disk: free pages, the write-ahead log, half-empty pages."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Callable

from sidecar.model import Seconds, StoreError
from sidecar.store.database import Database, connect

# Pages that are given back at a time: some ten milliseconds, while a commit waits.
_PAGES = 512
# VACUUM needs room for a second copy, and for a third one in the write-ahead log.
_COPIES = 2.5
_INCREMENTAL = 2
# Number of SQLite's instructions between two calls of the progress handler: a few milliseconds.
_INSTRUCTIONS = 10_000


class InterruptedCompactionError(StoreError):
    """The compaction took too long, or the service stops. Nothing was changed."""


def give_back(database: Database) -> bool:
    """Move some free pages to the end of the file and truncate it. Returns whether there are more."""
    with database.connection() as db:
        before = _free_pages(db)
        # The pragma needs one step per page; execute() does only one step, executescript() does all.
        db.executescript(f"PRAGMA incremental_vacuum({_PAGES})")
        # A database without auto-vacuum keeps its free pages.
        return 0 < _free_pages(db) < before


def _free_pages(db: sqlite3.Connection) -> int:
    (number,) = db.execute("PRAGMA freelist_count").fetchone()
    return int(number)


def shorten_log(database: Database) -> None:
    """Copy the write-ahead log into the file, which gets its new length by that, and truncate the log.

    Commits go on during the copy. While a reader needs the log it stays, and another call may truncate it.
    """
    if not database.log_bytes():
        return
    with database.store_errors(), contextlib.closing(connect(database.path, "mode=rw")) as db:
        db.execute("PRAGMA busy_timeout=0")
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def waste(database: Database) -> float:
    """The unused part of the pages in use, 0 if SQLite cannot tell."""
    # SQLite may be built without dbstat.
    with database.reader() as db, contextlib.suppress(sqlite3.OperationalError):
        (part,) = db.execute("SELECT TOTAL(unused) / MAX(1, SUM(pgsize)) FROM dbstat").fetchone()
        return float(part or 0.0)
    return 0.0


def has_room_to_compact(database: Database) -> bool:
    """Whether there is enough free space for `compact`."""
    try:
        return shutil.disk_usage(database.path.parent).free > database.bytes() * _COPIES
    except OSError:
        return False


def compact(
    database: Database, stopped: Callable[[], bool] = lambda: False, longest: Seconds = float("inf")
) -> None:
    """Rebuild the database without unused space, on a connection of its own. Readers go on; the caller writes
    nothing meanwhile.

    StoreError on failure, InterruptedCompactionError if it takes longer than this or `stopped` becomes true:
    the database is unchanged then.
    """
    if database.memory:
        raise StoreError("the database is in memory only; there is no file to compact")
    if not has_room_to_compact(database):
        needed = round(database.bytes() * _COPIES / 1e6)
        raise StoreError(f"{database.path.parent}: compaction needs {needed} MB of free space")
    until = time.monotonic() + longest

    def over() -> bool:
        return stopped() or time.monotonic() > until

    with database.store_errors(), contextlib.closing(connect(database.path, "mode=rw")) as db:
        db.isolation_level = None
        db.set_progress_handler(over, _INSTRUCTIONS)
        if db.execute("PRAGMA auto_vacuum").fetchone() != (_INCREMENTAL,):
            # Another program rebuilt the file without it; in force after VACUUM.
            db.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")
        try:
            db.execute("VACUUM")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise InterruptedCompactionError(f"{database.path}: compaction was interrupted") from error
            raise
        db.set_progress_handler(None, 0)
    shorten_log(database)
