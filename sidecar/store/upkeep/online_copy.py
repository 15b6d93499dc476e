"""Copies the database into another file while it is in use. No commit waits for the copy."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sidecar.model import Seconds, StoreError
from sidecar.store.changes import Change
from sidecar.store.database import FILE, Database, connect
from sidecar.store.errors import printable

# Pages between two pauses, each as long as the work before it: the service uses the same disk.
_PAGES = 256
_LONGEST_PAUSE: Seconds = 0.05
_INSTRUCTIONS = 10_000
# The names of the database itself in its directory.
_OWN = re.compile(re.escape(FILE) + r"(-\w+|\.new.*|\.damaged-.*|\.v\d.*)?")
_SUFFIXES = ("", "-wal", "-shm")


class OnlineCopy:
    """A copy of the database at `source`. The file `target` appears when the copy is complete and checked.

    The constructor and all methods raise StoreError; nothing is left of an incomplete copy then. Only `force`
    overwrites a file.
    """

    def __init__(self, source: Path, target: Path, *, force: bool = False) -> None:
        self._source, self._target, self._force = source, target, force
        self._new = target.with_name(f".{target.name}.new")
        self._snapshot: sqlite3.Connection | None = None
        self._inode: int | None = None
        self._stopped, self._worked = threading.Event(), 0.0
        with self._cleared():
            self._refuse()

    def stop(self) -> None:
        """End `begin` or `complete` early, with a StoreError."""
        self._stopped.set()

    def begin(self, memory: Database | None = None) -> None:
        """Fix the moment that is copied: later commits are not in the copy. A database in `memory` is copied
        now."""
        with self._cleared():
            if memory is not None:
                with memory.connection() as db:
                    self._copy(db, self._go_on)
                return
            self._snapshot = connect(self._source)
            # The first read begins the transaction.
            self._snapshot.execute("BEGIN")
            self._snapshot.execute("SELECT 1 FROM sqlite_master").fetchone()

    def complete(self, changes: Iterable[Change] = ()) -> dict[str, int]:
        """Copy, write more changes into the copy, check it, and give it its name. Returns its size in bytes,
        and the number of active bans and of ended ones."""
        with self._cleared():
            if self._snapshot is not None:
                self._worked = time.monotonic()
                self._copy(self._snapshot, self._pause)
                # Only now the write-ahead log can be shortened.
                self._snapshot.close()
            if changes := tuple(changes):
                with contextlib.closing(Database(self._new.parent, name=self._new.name)) as copy:
                    copy.write(changes)
            counts = self._checked()
            return {"bytes": self._put_in_place(), **counts}

    def _copy(self, db: sqlite3.Connection, progress: Callable[[int, int, int], None]) -> None:
        # A backup that was killed leaves it behind.
        self._remove()
        file = os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._inode = os.fstat(file).st_ino
        os.close(file)
        with contextlib.closing(sqlite3.connect(self._new, isolation_level=None)) as copy:
            # The file is synchronized once, when it is complete.
            copy.executescript("PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF")
            db.backup(copy, pages=_PAGES, progress=progress)

    def _go_on(self, *_: int) -> None:
        if self._stopped.is_set():
            raise StoreError("the backup was stopped")

    def _pause(self, *_: int) -> None:
        self._stopped.wait(min(time.monotonic() - self._worked, _LONGEST_PAUSE))
        self._go_on()
        self._worked = time.monotonic()

    def _checked(self) -> dict[str, int]:
        """Check every page and index. Returns the number of active and ended bans."""
        # SQLite makes no other file beside an immutable one.
        with contextlib.closing(connect(self._new, "immutable=1")) as db:
            db.set_progress_handler(self._stopped.is_set, _INSTRUCTIONS)
            (verdict,) = db.execute("PRAGMA integrity_check(1)").fetchone()
            if verdict != "ok":
                raise StoreError(f"{self._source} is damaged, so there is no backup: {verdict}")
            (bans,) = db.execute("SELECT COUNT(*) FROM bans").fetchone()
            (ended,) = db.execute("SELECT COUNT(*) FROM history").fetchone()
            return {"bans": bans, "history": ended}

    def _refuse(self) -> None:
        target, place = self._target, self._target.parent.resolve()
        if not place.is_dir():
            raise StoreError(f"{target.parent} is not a directory")
        own = place == self._source.parent.resolve() and _OWN.fullmatch(target.name)
        if own or _same(target, self._source):
            raise StoreError(f"{target} belongs to the database in use; name another file")
        if os.path.lexists(target):
            if not stat.S_ISREG(target.lstat().st_mode):
                raise StoreError(f"{target} is not a regular file; name another one")
            if not self._force:
                raise StoreError(f"{target} already exists; --force overwrites it")

    def _remove(self) -> None:
        for suffix in _SUFFIXES:
            self._new.with_name(self._new.name + suffix).unlink(missing_ok=True)

    def _put_in_place(self) -> int:
        with self._new.open("rb") as file:
            os.fsync(file.fileno())
            status = os.fstat(file.fileno())
        if status.st_ino != self._inode:
            raise StoreError("another backup to this file is running")
        # The target may have appeared meanwhile.
        self._refuse()
        self._new.rename(self._target)
        self._inode = None
        with contextlib.suppress(OSError):
            place = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(place)
            finally:
                os.close(place)
        return status.st_size

    @contextlib.contextmanager
    def _cleared(self) -> Iterator[None]:
        """On any error, end the read transaction and remove the incomplete copy."""
        try:
            yield
        except BaseException as error:
            if self._snapshot is not None:
                self._snapshot.close()
            if self._inode is not None:
                with contextlib.suppress(OSError):
                    self._remove()
            if not isinstance(error, sqlite3.Error | OSError | ValueError):
                raise
            text = getattr(error, "strerror", None) or printable(str(error))
            raise StoreError(f"{self._target}: {text}") from error


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
