"""The SQLite file: opened, migrated, read whole at start, and written in transactions."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from sidecar.model import Ban, Failure, Instant, Network, Position, Seconds, StoreError
from sidecar.store import rows
from sidecar.store.changes import Allowed, Change, Ended, Forgotten, Key, Past, Zone

__all__ = ["FILE", "Allowed", "Change", "Database", "Ended", "Forgotten", "Key", "Past", "Zone"]

FILE = "zmban.sqlite3"
# One script a version: what each adds to the one before.
_SCHEMAS = ("schema.sql", "schema-2.sql", "schema-3.sql")
VERSION = len(_SCHEMAS)
# So many files of one log are remembered: the current one, and those it was renamed to or copied into.
_MOST_FILES = 16
_COUNT_BANS = (
    "SELECT network, jail, MAX(count), MAX(at) FROM (SELECT network, jail, count, at FROM bans WHERE dry=0"
    " UNION ALL SELECT network, jail, count, at FROM history"
    " WHERE why NOT IN ('manual','allowed','protected')) GROUP BY network, jail"
)
_DELETE_POSITIONS = (
    "DELETE FROM positions WHERE rowid IN (SELECT id FROM (SELECT rowid AS id, ROW_NUMBER() OVER"
    " (PARTITION BY path ORDER BY rowid DESC) AS n FROM positions) WHERE n > ?)"
)


class Database:
    """One connection. Not for two threads at a time; the service writes from one."""

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        self.path = directory / FILE
        self._lock = threading.RLock()
        try:
            if read_only:
                self._db = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, check_same_thread=False)
            else:
                directory.mkdir(parents=True, exist_ok=True)
                self._db = sqlite3.connect(self.path, check_same_thread=False)
                self.path.chmod(0o600)
            self._db.isolation_level = None
            # In WAL mode a crash of the process loses nothing; a crash of the host loses at most the
            # last transactions whole, and their lines are read again from the older position.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._migrate(read_only)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.path}: {error}; move the file aside to begin a new one") from error

    def _migrate(self, read_only: bool) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError(
                f"{self.path} was written by a later version of zmban; use that, or move it aside"
            )
        if version == VERSION or read_only:
            return
        if version == 0:
            self._db.execute("PRAGMA journal_mode=WAL")
        scripts = [
            resources.files("sidecar.store").joinpath(name).read_text(encoding="utf-8")
            for name in _SCHEMAS[version:]
        ]
        self._db.executescript(f"BEGIN; {''.join(scripts)} PRAGMA user_version={VERSION}; COMMIT;")

    def close(self) -> None:
        """Close it; what was committed stays."""
        with self._lock:
            self._db.close()

    def bytes(self) -> int:
        """Size of the file with its write-ahead log."""
        files = (self.path, self.path.with_name(f"{FILE}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def write(self, changes: Iterable[Change]) -> None:
        """Write changes in order, as one transaction: all of them or none. StoreError on a full disk."""
        with self._transaction():
            for change in changes:
                rows.write(self._db, change)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, whatever goes wrong in between; one thread at a time."""
        with self._lock, self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeError, TypeError, ValueError) as error:
            raise StoreError(f"{self.path}: {error}") from error

    def prune(self, oldest: dict[str, Instant]) -> None:
        """Drop failures older than their jail's window, those of jails that are gone, and how far the oldest
        of many files of one log were read."""
        with self._transaction():
            for jail, at in oldest.items():
                self._db.execute("DELETE FROM failures WHERE jail=? AND at<=?", (jail, at))
            for (jail,) in self._db.execute("SELECT DISTINCT jail FROM failures").fetchall():
                if jail not in oldest:
                    self._db.execute("DELETE FROM failures WHERE jail=?", (jail,))
            self._db.execute(_DELETE_POSITIONS, (_MOST_FILES,))

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        with self._errors():
            yield from self._db.execute(query)

    def bans(self) -> Iterator[Ban]:
        """Every ban that was not lifted or expired when it was last written."""
        return map(rows.ban_of, self._rows(rows.SELECT_BANS))

    def bans_of(self, keys: Iterable[Key]) -> list[Ban]:
        """Those of the bans of (network, jail) that stand."""
        found = self._each(f"{rows.SELECT_BANS} WHERE network=? AND jail=?", keys)
        return [rows.ban_of(row) for _, row in found]

    def past(self, keys: Iterable[Key]) -> dict[Key, list[Ended]]:
        """What the history knows of the bans of (network, jail)."""
        found: dict[Key, list[Ended]] = {}
        for key, row in self._each("SELECT at,ended,why FROM history WHERE network=? AND jail=?", keys):
            found.setdefault(key, []).append(Ended(*row))
        return found

    def _each(self, query: str, keys: Iterable[Key]) -> Iterator[tuple[Key, tuple[Any, ...]]]:
        with self._lock, self._errors():
            for network, jail in keys:
                for row in self._db.execute(query, (rows.key_of(network), jail)):
                    yield (network, jail), row

    def counts(self) -> Iterator[tuple[Network, str, int, Instant]]:
        """For each network and jail how often it was banned, and when last; what a person lifted was none."""
        for key, jail, count, at in self._rows(_COUNT_BANS):
            yield rows.network_of(key), jail, count, at

    def failures(self) -> Iterator[Failure]:
        """Every failure that counted when it was written, oldest first."""
        for jail, key, at, line in self._rows("SELECT jail,network,at,line FROM failures ORDER BY at"):
            yield Failure(jail, rows.network_of(key), at, line)

    def positions(self) -> dict[str, list[Position]]:
        """How far each file of each log was read; of each log the one that was read last comes first."""
        found: dict[str, list[Position]] = {}
        for row in self._rows("SELECT path,inode,offset,head,tail FROM positions ORDER BY rowid DESC"):
            found.setdefault(row[0], []).append(Position(*row))
        return found

    def zones(self) -> dict[str, Seconds | None]:
        """The zone of each log for which one was learnt."""
        return dict(self._rows("SELECT path,offset FROM zones"))

    def allowed(self) -> list[Allowed]:
        """The networks that a person allowed, those that ended included."""
        found = self._rows("SELECT network,at,until,reason FROM allowed")
        return [Allowed(rows.network_of(key), at, until, reason) for key, at, until, reason in found]
