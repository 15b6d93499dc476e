"""The database of the daily review: counts of each day, and how far each log was counted.

It is a file of its own beside the database of bans: counts can be made again from the logs, and whoever
writes them never waits for a ban, nor a ban for them.
"""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sidecar.model import Position, StoreError

FILE = "review.sqlite3"
_DAYS_KEPT = 62
_BUSY_SECONDS = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS day (day TEXT, kind TEXT, data BLOB NOT NULL, PRIMARY KEY (day, kind));
CREATE TABLE IF NOT EXISTS log (path TEXT PRIMARY KEY, data BLOB NOT NULL);
"""


class CountedLog(NamedTuple):
    """How far the files of a log were counted; `state` is what the next lines need; `packed` are the marks of
    compressed files that need no second look."""

    positions: tuple[Position, ...] = ()
    state: Mapping[str, Any] = {}
    packed: tuple[tuple[int, ...], ...] = ()


class ReviewStore:
    """One connection. StoreError if the database cannot be used. A damaged file is moved aside, since its
    counts come back with the logs; `lost` says so."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self.lost = ""
        try:
            self._connection = self._opened()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise StoreError(f"{self._path}: {error}") from None
            self.lost = (
                f"{self._path} is damaged ({error}) and was moved to {FILE}.damaged; days are counted again"
            )
            self._path.replace(self._path.with_name(f"{FILE}.damaged"))
            for suffix in ("-wal", "-shm"):
                self._path.with_name(FILE + suffix).unlink(missing_ok=True)
            self._connection = self._opened()

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.executescript(_SCHEMA)
            connection.execute("SELECT count(*) FROM log").fetchone()
        except sqlite3.Error:
            connection.close()
            raise
        self._path.chmod(0o600)
        return connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction, which excludes other writers."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from None

    def day(self, day: str, kind: str) -> dict[str, Any]:
        """What is kept of a day under a kind; empty if there is nothing."""
        row = self._one("SELECT data FROM day WHERE day = ? AND kind = ?", day, kind)
        return _loaded(row[0]) if row else {}

    def days(self) -> list[str]:
        """The days of which something is kept, oldest first."""
        return [row[0] for row in self._all("SELECT DISTINCT day FROM day ORDER BY day")]

    def put_day(self, day: str, kind: str, data: Mapping[str, Any]) -> None:
        """Replace what is kept of a day under a kind."""
        self._connection.execute("REPLACE INTO day VALUES (?, ?, ?)", (day, kind, _dumped(data)))

    def prune(self) -> None:
        """Forget the oldest days."""
        if len(days := self.days()) > _DAYS_KEPT:
            self._connection.execute("DELETE FROM day WHERE day < ?", (days[-_DAYS_KEPT],))

    def log(self, path: str) -> CountedLog:
        """How far a log was counted."""
        row = self._one("SELECT data FROM log WHERE path = ?", path)
        if row is None:
            return CountedLog()
        read = _loaded(row[0])
        try:
            positions = tuple(
                Position(path, inode, offset, base64.b64decode(head), base64.b64decode(tail), content)
                for inode, offset, head, tail, content in read["positions"]
            )
            return CountedLog(positions, read["state"], tuple(tuple(mark) for mark in read["packed"]))
        except (KeyError, TypeError, ValueError):
            return CountedLog()

    def put_log(self, path: str, counted: CountedLog) -> None:
        """Replace how far a log was counted."""
        positions = [
            (
                p.inode,
                p.offset,
                base64.b64encode(p.head).decode(),
                base64.b64encode(p.tail).decode(),
                p.content,
            )
            for p in counted.positions
        ]
        data = {"positions": positions, "state": counted.state, "packed": counted.packed}
        self._connection.execute("REPLACE INTO log VALUES (?, ?)", (path, _dumped(data)))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _one(self, query: str, *values: str) -> Any:
        return next(iter(self._all(query, *values)), None)

    def _all(self, query: str, *values: str) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from None


def _dumped(data: Mapping[str, Any]) -> bytes:
    return zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 1)


def _loaded(data: bytes) -> dict[str, Any]:
    """Empty if it is damaged: counts can be made again."""
    try:
        read = json.loads(zlib.decompress(data))
    except (zlib.error, ValueError):
        return {}
    return read if isinstance(read, dict) else {}
