"""The SQLite database: opened and migrated, read at start, written in transactions."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from sidecar.model import Ban, Failure, Instant, Position, Seconds, StoreError
from sidecar.network import Network
from sidecar.store import migrations, rows, storage
from sidecar.store.changes import Allowed, Change, Ended, Forgotten, HistoryEntry, Key, Login, Memo, Zone
from sidecar.store.errors import DamagedError, LaterError, meant
from sidecar.store.migrations import TABLES
from sidecar.store.repair import damage, version_copy, wal
from sidecar.store.repair.page_check import Check, verdict

__all__ = [
    "FILE", "MOST_LOG", "Allowed", "Change", "DamagedError", "Database", "Ended", "Forgotten", "HistoryEntry",
    "Key", "LaterError", "Zone", "connect",
]  # fmt: skip

FILE = "zmban.sqlite3"
T = TypeVar("T")
# Minimum size of a row in bytes. More rows than fit into the file mean a tree with a loop.
_LEAST_ROW = 6
# Size in bytes to which the write-ahead log is truncated when all of it was copied into the file.
MOST_LOG = 4 << 20
_KEY = "network=? AND jail=?"


def connect(path: Path, mode: str = "mode=ro") -> sqlite3.Connection:
    """A connection to an existing file, by default for reading. Any thread may use it, one at a time."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, check_same_thread=False)


class Database:
    """One connection. The service writes from one thread; a lock serializes other callers.

    `memory`: the database exists only in memory. `patience`: how long to wait for a lock of another process.
    `fresh`: the tables were created now. StoreError if the file cannot be used for now, LaterError if a later
    zmban wrote it, DamagedError if it is damaged.
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
            # In WAL mode a crash of the process loses nothing. A crash of the host loses at most the last
            # transactions; their lines are read again, because the older position is restored with them.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(f"PRAGMA journal_size_limit={MOST_LOG}")
            self._migrate(read_only)
            if not (self.memory or read_only):
                # The copy of a database in memory has another mode.
                self._db.execute("PRAGMA journal_mode=WAL")
        except BaseException as error:
            self._db.close()
            if isinstance(error, sqlite3.Error | UnicodeError | OSError):
                raise meant(error, self.path) from error
            raise

    def _connect(self, directory: Path, read_only: bool, patience: Seconds) -> sqlite3.Connection:
        if self.memory:
            return sqlite3.connect(":memory:", check_same_thread=False)
        if read_only:
            return connect(self.path)
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
        version = migrations.version_of(self._db, self.path)
        if not (self.memory or read_only) and damage.log_is_broken(self._db, self.path):
            raise DamagedError(f"{self.path}: its write-ahead log is damaged")
        if version == migrations.newest():
            return
        if read_only:
            self._migrate_copy(version)
            return
        self.fresh = version == 0
        if self.fresh:
            # Free pages go back to the disk a few at a time. Must be set before the first table exists.
            self._db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        elif damaged := verdict(self._db, self.path):
            # Copying rows out of a damaged table may never end.
            raise DamagedError(damaged)
        else:
            version_copy.keep(self._db, self.path, version)
        migrations.migrate(self._db, self.path, version)

    def _migrate_copy(self, version: int) -> None:
        """Read an older database as one of this version, without changing its file."""
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._db.backup(copy)
        self._db.close()
        self._db = copy
        migrations.migrate(self._db, self.path, version)

    def check(self, patience: Seconds = 600.0) -> Check:
        """Read every page, and take the write lock once. DamagedError if a page is damaged, StoreError if
        writes are not possible. A check that takes longer than `patience` continues in its thread; the caller
        reads its verdict later."""
        with self.transaction():
            pass
        checking = Check(self.path)
        if checking.ended(patience) and checking.verdict:
            raise DamagedError(checking.verdict)
        with self._lock, self.store_errors():
            for table in TABLES:
                try:
                    self._db.execute(f"SELECT 1 FROM {table} LIMIT 0")  # noqa: S608 - only our own names
                except sqlite3.OperationalError as error:
                    raise DamagedError(f"{self.path}: {error}") from error
        return checking

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._db.close()

    def bytes(self) -> int:
        """Size of the file and its write-ahead log, 0 in memory."""
        return 0 if self.memory else storage.size(self.path) + self.log_bytes()

    def log_bytes(self) -> int:
        """Size of the write-ahead log, 0 in memory."""
        return 0 if self.memory else storage.size(self.path.with_name(f"{self.path.name}{wal.SUFFIX}"))

    def copy_to(self, other: Database) -> None:
        """Copy everything to another database, in one transaction. StoreError on failure."""
        with self._lock, other._lock, other.store_errors():
            self._db.backup(other._db)

    def write(self, changes: Iterable[Change]) -> None:
        """Write changes in order, in one transaction. StoreError, for example on a full disk."""
        with self.transaction() as db:
            for change in changes:
                rows.write(db, change)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is rolled back on any error. One thread at a time."""
        with self.connection() as db:
            # If the file was moved away, writes would go to the moved file and be lost.
            if not self.memory and storage.inode(self.path) != self._inode:
                raise DamagedError(f"{self.path} was removed or replaced by another file")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread at a time. StoreError on failure."""
        with self._lock, self.store_errors():
            yield self._db

    @contextlib.contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own for reading, which no commit waits for; in memory, that of the service.
        StoreError on failure."""
        if self.memory:
            with self.connection() as db:
                yield db
            return
        with self.store_errors(), contextlib.closing(connect(self.path)) as db:
            yield db

    @contextlib.contextmanager
    def store_errors(self) -> Iterator[None]:
        """Turns errors of SQLite and the file system into StoreError."""
        try:
            yield
        except StoreError:
            raise
        except (sqlite3.Error, OSError, UnicodeError, TypeError, ValueError) as error:
            raise meant(error, self.path) from error

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        """All rows. DamagedError if there are more than fit into the file."""
        with self.store_errors():
            (pages,), (size,) = (
                self._db.execute(f"PRAGMA page_{name}").fetchone() for name in ("count", "size")
            )
            found = self._db.execute(query)
            yield from islice(found, pages * size // _LEAST_ROW)
            if found.fetchone() is not None:
                raise DamagedError(f"{self.path}: a table has more rows than fit into the file")

    def _values(self, query: str, make: Callable[[tuple[Any, ...]], T]) -> Iterator[T]:
        """The value of each row. DamagedError for an invalid row."""
        try:
            yield from map(make, self._rows(query))
        except (ValueError, TypeError, IndexError) as error:
            raise DamagedError(f"{self.path}: invalid row ({error})") from error

    def bans(self, keys: Iterable[Key] | None = None) -> list[Ban]:
        """All active bans, or those with the given (network, jail)."""
        with self._lock:
            if keys is None:
                return list(self._values(rows.SELECT_BANS, rows.ban_of))
            return [rows.ban_of(row) for _, row in self._each(f"{rows.SELECT_BANS} WHERE {_KEY}", keys)]

    def page(self, after: int, most: int, *, lines: bool = True) -> tuple[list[Ban], int | None]:
        """The bans after row `after`, see `rows.page`."""
        with self._lock, self.store_errors():
            return rows.page(self._db, after, most, lines=lines)

    def active_bans(self) -> Iterator[Ban]:
        """All active bans without evidence: a fifth of the bytes to read."""
        return self._values(rows.SELECT_STANDING, rows.standing_of)

    def count_beyond_calendar(self) -> int:
        """Number of bans that end after LATEST: they are read as permanent."""
        ((number,),) = self._rows(rows.COUNT_BEYOND)
        return int(number)

    def history(self, keys: Iterable[Key]) -> dict[Key, list[Ended]]:
        """The history of the bans of each (network, jail)."""
        found: dict[Key, list[Ended]] = {}
        for key, row in self._each(f"SELECT at,ended,why FROM history WHERE {_KEY}", keys):  # noqa: S608
            found.setdefault(key, []).append(Ended(*row))
        return found

    def ended(self, network: Network, most: int = 50) -> list[rows.Past]:
        """See `rows.past_of`."""
        with self.connection() as db:
            return rows.past_of(db, network, most)

    def _each(self, query: str, keys: Iterable[Key]) -> Iterator[tuple[Key, tuple[Any, ...]]]:
        with self._lock, self.store_errors():
            for network, jail in keys:
                for row in self._db.execute(query, (rows.key_of(network), jail)):
                    yield (network, jail), row

    def counts(self) -> Iterator[tuple[Network, str, int, Instant]]:
        """Network, jail, number of bans and start of the last one. Bans lifted by hand are not counted."""
        yield from self._values(rows.COUNT_BANS, lambda row: (rows.network_of(row[0]), *row[1:]))

    def failures(self) -> Iterator[Failure]:
        """All failures, oldest first."""
        query = "SELECT jail,network,at,line FROM failures"
        # Sorted here and not in SQL, so that a table with a loop is detected.
        found = self._values(query, lambda row: Failure(row[0], rows.network_of(row[1]), *row[2:]))
        yield from sorted(found, key=lambda failure: failure.at)

    def positions(self) -> dict[str, list[Position]]:
        """Positions by log, the content that was read last first."""
        found: dict[str, list[Position]] = {}
        for row in self._rows(rows.SELECT_POSITIONS):
            found.setdefault(row[0], []).append(Position(*row))
        return found

    def zones(self) -> dict[str, Seconds | None]:
        """The detected time zone of each log, see `Zone`."""
        return dict(self._rows("SELECT path,offset FROM zones"))

    def logins(self) -> list[Login]:
        """Successful logins, oldest first."""
        found = self._values(rows.SELECT_GOOD, lambda row: Login(rows.network_of(row[0]), *row[1:]))
        return sorted(found, key=lambda good: good.at)

    def memos(self) -> list[Memo]:
        """All memos."""
        return list(self._values("SELECT kind,key,value,at FROM memos", lambda row: Memo(*row)))

    def allowed(self) -> list[Allowed]:
        """The allowed networks, including those that have ended."""
        return list(self._values(rows.SELECT_ALLOWED, lambda row: Allowed(rows.network_of(row[0]), *row[1:])))
