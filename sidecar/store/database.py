"""The SQLite file: opened, migrated, read whole at start, and written in transactions."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from sidecar.model import Ban, Failure, Instant, Position, Seconds, StoreError
from sidecar.network import Network
from sidecar.store import damage, rows
from sidecar.store.changes import Allowed, Change, Ended, Forgotten, Good, Key, Past, Zone
from sidecar.store.errors import DamagedError, LaterError, meant
from sidecar.store.page_check import Check, verdict

__all__ = [
    "FILE",
    "MOST_FILES",
    "Allowed",
    "Change",
    "DamagedError",
    "Database",
    "Ended",
    "Forgotten",
    "Key",
    "LaterError",
    "Past",
    "Zone",
]  # fmt: skip

FILE = "zmban.sqlite3"
# One script a version: what each adds to the one before.
_SCHEMAS = ("schema.sql", "schema-2.sql", "schema-3.sql", "schema-4.sql", "schema-5.sql", "schema-6.sql")
VERSION = len(_SCHEMAS)
# What says to be later than this was not written by any zmban.
_LAST_VERSION = 100
T = TypeVar("T")
TABLES = ("bans", "evidence", "history", "failures", "positions", "allowed", "zones", "good")
# The fewest bytes that a row takes: more rows than the file has room for are rows without end.
_LEAST_ROW = 6
# 4 MiB at a time: no commit waits for more.
_FREED_PAGES = 1024
# So many contents of one log are remembered: as many as sources/content.py knows.
MOST_FILES = 512
_KEY = "network=? AND jail=?"
_DELETE_POSITIONS = (
    "DELETE FROM positions WHERE rowid IN (SELECT id FROM (SELECT rowid AS id, ROW_NUMBER() OVER"
    " (PARTITION BY path ORDER BY rowid DESC) AS n FROM positions) WHERE n > ?)"
)


def schema(version: int, *, after: int = 0) -> str:
    """What makes the tables of a version of those of an earlier one, as SQL."""
    return "".join(_SCRIPTS[after:version])


# Read now: a database in memory is wanted where no file can be opened any more.
_SCRIPTS = [resources.files("sidecar.store").joinpath(name).read_text(encoding="utf-8") for name in _SCHEMAS]


class Database:
    """One connection. Not for two threads at a time; the service writes from one.

    `memory` makes one that is gone with the process. `patience` is how long a lock of somebody else's is
    waited for. `fresh` says that it held no tables and got them now.
    StoreError where it cannot be used for the moment, DamagedError where it will never be.
    """

    def __init__(
        self,
        directory: Path,
        *,
        read_only: bool = False,
        memory: bool = False,
        name: str = FILE,
        patience: Seconds = 5.0,
    ) -> None:
        self.path, self.memory, self.fresh = directory / name, memory, False
        self._lock = threading.RLock()
        self._inode: int | None = None
        try:
            self._db = self._connect(directory, read_only, patience)
        except (sqlite3.Error, OSError) as error:
            raise meant(error, self.path) from error
        try:
            self._db.isolation_level = None
            # In WAL mode a crash of the process loses nothing; a crash of the host loses at most the
            # last transactions whole, and their lines are read again from the older position.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._migrate(read_only)
        except BaseException as error:
            self._db.close()
            if isinstance(error, sqlite3.Error | UnicodeError):
                raise meant(error, self.path) from error
            raise

    def _connect(self, directory: Path, read_only: bool, patience: Seconds) -> sqlite3.Connection:
        if self.memory:
            return sqlite3.connect(":memory:", check_same_thread=False)
        if read_only:
            return sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, check_same_thread=False)
        directory.mkdir(parents=True, exist_ok=True)
        if reason := damage.before_opening(self.path):
            raise DamagedError(f"{self.path}: {reason}")
        db = sqlite3.connect(self.path, timeout=patience, check_same_thread=False)
        try:
            self.path.chmod(0o600)
            self._inode = self.path.stat().st_ino
        except OSError:
            db.close()
            raise
        return db

    def _migrate(self, read_only: bool) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > _LAST_VERSION:
            raise DamagedError(f"{self.path}: its version makes no sense")
        if version > VERSION:
            raise LaterError(
                f"{self.path} was written by a later version of zmban; use that, or move it aside"
            )
        if not (self.memory or read_only) and damage.log_is_broken(self._db, self.path):
            raise DamagedError(f"{self.path}: its write-ahead log is damaged")
        if version == VERSION or read_only:
            return
        self.fresh = version == 0
        if not self.fresh and (damaged := verdict(self._db, self.path)):
            # To copy rows out of a damaged table may have no end.
            raise DamagedError(damaged)
        if self.fresh:
            # What is freed goes back to the disk a few pages at a time; to be said before anything else is.
            self._db.execute("PRAGMA auto_vacuum=INCREMENTAL")
            self._db.execute("PRAGMA journal_mode=WAL")
        script = schema(VERSION, after=version)
        try:
            self._db.executescript(f"BEGIN; {script} PRAGMA user_version={VERSION}; COMMIT;")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                raise DamagedError(f"{self.path}: its tables are not those of its version") from error
            raise
        if not self.fresh:
            # One of an earlier version did not say so; where the disk lacks room, it stays as large as it is.
            with contextlib.suppress(sqlite3.OperationalError):
                self._db.executescript("PRAGMA auto_vacuum=INCREMENTAL; VACUUM;")

    def check(self, patience: Seconds = 600.0) -> Check:
        """Read every page, and take the lock of a writer for a moment: DamagedError where a page is not what
        it should be, StoreError where nothing could be written. What takes longer than `patience` goes on
        beside; the caller asks for its verdict later."""
        with self._transaction():
            pass
        checking = Check(self.path)
        if checking.ended(patience) and checking.verdict:
            raise DamagedError(checking.verdict)
        with self._lock, self._errors():
            for table in TABLES:
                try:
                    self._db.execute(f"SELECT 1 FROM {table} LIMIT 0")  # noqa: S608 - only our own names
                except sqlite3.OperationalError as error:
                    raise DamagedError(f"{self.path}: {error}") from error
        return checking

    def close(self) -> None:
        """Close it; what was committed stays."""
        with self._lock:
            self._db.close()

    def bytes(self) -> int:
        """Size of the file with its write-ahead log, 0 for one in memory."""
        files = () if self.memory else (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return sum(damage.size(file) for file in files)

    def copy_to(self, other: Database) -> None:
        """Make another database the same as this one, as one transaction. StoreError where that fails."""
        with self._lock, other._lock, other._errors():
            self._db.backup(other._db)

    def write(self, changes: Iterable[Change]) -> None:
        """Write changes in order, as one transaction: all of them or none. StoreError on a full disk."""
        with self._transaction():
            for change in changes:
                rows.write(self._db, change)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, whatever goes wrong in between; one thread at a time."""
        with self._lock, self._errors():
            # Whoever moved it away would otherwise take all that is written from now on with it.
            if not self.memory and damage.inode(self.path) != self._inode:
                raise DamagedError(f"{self.path} is gone, or another file bears its name")
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
        except StoreError:
            raise
        except (sqlite3.Error, OSError, UnicodeError, TypeError, ValueError) as error:
            raise meant(error, self.path) from error

    def prune(self, oldest: dict[str, Instant]) -> None:
        """Drop failures older than their jail's window, those of jails that are gone, and how far the oldest
        of many files of one log were read."""
        with self._transaction():
            for jail, at in oldest.items():
                self._db.execute("DELETE FROM failures WHERE jail=? AND at<=?", (jail, at))
            for (jail,) in self._db.execute("SELECT DISTINCT jail FROM failures").fetchall():
                if jail not in oldest:
                    self._db.execute("DELETE FROM failures WHERE jail=?", (jail,))
            self._db.execute(_DELETE_POSITIONS, (MOST_FILES,))
        with self._lock, self._errors():
            # A script, for it takes a step for each page, and a single statement is stepped but once.
            self._db.executescript(f"PRAGMA incremental_vacuum({_FREED_PAGES})")

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        """All rows. DamagedError where there are more than the file has room for."""
        with self._errors():
            (pages,), (size,) = (
                self._db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
            )
            found = self._db.execute(query)
            yield from islice(found, pages * size // _LEAST_ROW)
            if found.fetchone() is not None:
                raise DamagedError(f"{self.path}: a table has no end")

    def _values(self, query: str, make: Callable[[tuple[Any, ...]], T]) -> Iterator[T]:
        """What each row means. DamagedError for one that makes no sense, though its page is sound."""
        try:
            yield from map(make, self._rows(query))
        except (ValueError, TypeError, IndexError) as error:
            raise DamagedError(f"{self.path}: a row makes no sense ({error})") from error

    def bans(self, keys: Iterable[Key] | None = None) -> list[Ban]:
        """Every ban that was not lifted or expired when it was last written, or those of (network, jail)."""
        with self._lock:
            if keys is None:
                return list(self._values(rows.SELECT_BANS, rows.ban_of))
            return [rows.ban_of(row) for _, row in self._each(f"{rows.SELECT_BANS} WHERE {_KEY}", keys)]

    def page(self, after: int, most: int, *, lines: bool = True) -> tuple[list[Ban], int | None]:
        """The next bans behind row `after`, see `rows.page`."""
        with self._lock, self._errors():
            return rows.page(self._db, after, most, lines=lines)

    def standing(self) -> Iterator[Ban]:
        """As `bans`, without their evidence: a fifth of the bytes to read."""
        return self._values(rows.SELECT_STANDING, rows.standing_of)

    def beyond(self) -> int:
        """How many bans end later than any calendar shows: they are read as for ever."""
        ((number,),) = self._rows(rows.COUNT_BEYOND)
        return int(number)

    def past(self, keys: Iterable[Key]) -> dict[Key, list[Ended]]:
        """What the history knows of the bans of (network, jail)."""
        found: dict[Key, list[Ended]] = {}
        for key, row in self._each(f"SELECT at,ended,why FROM history WHERE {_KEY}", keys):  # noqa: S608
            found.setdefault(key, []).append(Ended(*row))
        return found

    def _each(self, query: str, keys: Iterable[Key]) -> Iterator[tuple[Key, tuple[Any, ...]]]:
        with self._lock, self._errors():
            for network, jail in keys:
                for row in self._db.execute(query, (rows.key_of(network), jail)):
                    yield (network, jail), row

    def counts(self) -> Iterator[tuple[Network, str, int, Instant]]:
        """For each network and jail how often it was banned, and when last; what a person lifted was none."""
        yield from self._values(rows.COUNT_BANS, lambda row: (rows.network_of(row[0]), *row[1:]))

    def failures(self) -> Iterator[Failure]:
        """Every failure that counted when it was written, oldest first."""
        query = "SELECT jail,network,at,line FROM failures"
        # Sorted here, where rows without end are found out.
        found = self._values(query, lambda row: Failure(row[0], rows.network_of(row[1]), *row[2:]))
        yield from sorted(found, key=lambda failure: failure.at)

    def positions(self) -> dict[str, list[Position]]:
        """How far each content of each log was read; of each log the one that was read last comes first."""
        found: dict[str, list[Position]] = {}
        for row in self._rows(rows.SELECT_POSITIONS):
            found.setdefault(row[0], []).append(Position(*row))
        return found

    def zones(self) -> dict[str, Seconds | None]:
        """The zone of each log for which one was learnt."""
        return dict(self._rows("SELECT path,offset FROM zones"))

    def good(self) -> list[Good]:
        """Who logged in from where, the oldest first."""
        query = "SELECT network,account,at FROM good"
        found = self._values(query, lambda row: Good(rows.network_of(row[0]), *row[1:]))
        return sorted(found, key=lambda good: good.at)

    def allowed(self) -> list[Allowed]:
        """The networks that a person allowed, those that ended included."""
        return list(self._values(rows.SELECT_ALLOWED, lambda row: Allowed(rows.network_of(row[0]), *row[1:])))
