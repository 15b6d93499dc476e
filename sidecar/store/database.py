"""The SQLite file: opened, migrated, read whole at start, and written in transactions."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from sidecar.model import (
    Ban,
    Extended,
    Failure,
    Instant,
    Network,
    Position,
    Seconds,
    Spent,
    StoreError,
    Unban,
)

FILE = "zmban.sqlite3"
# One script a version: what each adds to the one before.
_SCHEMAS = ("schema.sql", "schema-2.sql")
VERSION = len(_SCHEMAS)
_SELECT_BANS = "SELECT network,jail,at,until,origin,reason,failures,evidence,count,dry FROM bans"
_COUNT_BANS = (
    "SELECT network, jail, MAX(count), MAX(at) FROM (SELECT network, jail, count, at FROM bans WHERE dry=0"
    " UNION ALL SELECT network, jail, count, at FROM history"
    " WHERE why NOT IN ('manual','allowed','protected')) GROUP BY network, jail"
)
_DELETE_FAILURES = "DELETE FROM failures WHERE network=? AND jail=?"


@dataclass(frozen=True, slots=True)
class Allowed:
    """A network that a person allowed for a time: never banned until then."""

    network: Network
    at: Instant
    until: Instant | None
    reason: str


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The failures of everything inside a network no longer count, in one jail or (None) in all."""

    network: Network
    jail: str | None


@dataclass(frozen=True, slots=True)
class Past:
    """A ban that is over, or never stood here: only counted. `why` is `expired`, or `imported`."""

    ban: Ban
    ended: Instant
    why: str


@dataclass(frozen=True, slots=True)
class Ended:
    """What the history knows of one ban: when it began and ended, and why (`manual`, `expired`, ...)."""

    at: Instant
    ended: Instant
    why: str


@dataclass(frozen=True, slots=True)
class Zone:
    """The zone that a log's dates were found to be in: seconds ahead of UTC, None for the host's own."""

    path: str
    offset: Seconds | None


Key = tuple[Network, str]
Change = Failure | Spent | Ban | Extended | Unban | Past | Forgotten | Position | Allowed | Zone


def _key(network: Network) -> bytes:
    return bytes((network.version, network.length)) + network.packed


def _network(key: bytes) -> Network:
    return Network(key[0], int.from_bytes(key[2:], "big"), key[1])


def _ban(row: Sequence[Any]) -> Ban:
    """A row of _SELECT_BANS."""
    key, jail, at, until, origin, reason, failures, evidence, count, dry = row
    lines = tuple(json.loads(evidence))
    return Ban(_network(key), jail, at, until, origin, reason, failures, lines, count, bool(dry))


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
                self._write(change)

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

    def _write(self, change: Change) -> None:
        execute = self._db.execute
        match change:
            case Failure():
                row: Sequence[object] = (change.jail, _key(change.network), change.at, change.line)
                execute("INSERT INTO failures VALUES (?,?,?,?)", row)
            case Ban() | Extended():
                self._write_ban(change if isinstance(change, Ban) else change.ban)
            case Unban():
                self._write_unban(change)
            case Past(ban=ban):
                row = (_key(ban.network), ban.jail, ban.at, ban.until, change.ended, change.why)
                row = (*row, ban.origin, ban.reason, ban.failures, ban.count)
                execute("INSERT INTO history VALUES (?,?,?,?,?,?,?,?,?,?)", row)
            case Spent():
                self._db.execute(_DELETE_FAILURES, (_key(change.network), change.jail))
            case Forgotten():
                self._forget(change)
            case Position():
                row = (change.path, change.inode, change.offset, change.head)
                execute("INSERT OR REPLACE INTO positions VALUES (?,?,?,?)", row)
            case Zone():
                execute("INSERT OR REPLACE INTO zones VALUES (?,?)", (change.path, change.offset))
            case Allowed():
                row = (_key(change.network), change.at, change.until, change.reason)
                execute("INSERT OR REPLACE INTO allowed VALUES (?,?,?,?)", row)

    def _write_ban(self, ban: Ban) -> None:
        key = _key(ban.network)
        self._db.execute(
            "INSERT OR REPLACE INTO bans VALUES (?,?,?,?,?,?,?,?,?,?)",
            (
                key,
                ban.jail,
                ban.at,
                ban.until,
                ban.origin,
                ban.reason,
                ban.failures,
                ban.count,
                ban.dry,
                json.dumps(ban.evidence, ensure_ascii=False),
            ),
        )
        # The failures that led here are the ban's evidence now, and count no more.
        self._db.execute(_DELETE_FAILURES, (key, ban.jail))

    def _write_unban(self, unban: Unban) -> None:
        key = (_key(unban.network), unban.jail)
        self._db.execute(
            "INSERT INTO history SELECT network,jail,at,until,?,?,origin,reason,failures,count FROM bans"
            " WHERE network=? AND jail=? AND dry=0",
            (unban.at, unban.reason, *key),
        )
        self._db.execute("DELETE FROM bans WHERE network=? AND jail=?", key)

    def _forget(self, change: Forgotten) -> None:
        keys = self._db.execute("SELECT DISTINCT network FROM failures").fetchall()
        inside = [(key,) for (key,) in keys if change.network.covers(_network(key))]
        for row in inside:
            if change.jail is None:
                self._db.execute("DELETE FROM failures WHERE network=?", row)
            else:
                self._db.execute(_DELETE_FAILURES, (*row, change.jail))

    def prune(self, oldest: dict[str, Instant]) -> None:
        """Drop failures older than their jail's window, and those of jails that are gone."""
        with self._transaction():
            for jail, at in oldest.items():
                self._db.execute("DELETE FROM failures WHERE jail=? AND at<=?", (jail, at))
            for (jail,) in self._db.execute("SELECT DISTINCT jail FROM failures").fetchall():
                if jail not in oldest:
                    self._db.execute("DELETE FROM failures WHERE jail=?", (jail,))

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        with self._errors():
            yield from self._db.execute(query)

    def bans(self) -> Iterator[Ban]:
        """Every ban that was not lifted or expired when it was last written."""
        return map(_ban, self._rows(_SELECT_BANS))

    def bans_of(self, keys: Iterable[Key]) -> list[Ban]:
        """Those of the bans of (network, jail) that stand."""
        found = self._each(f"{_SELECT_BANS} WHERE network=? AND jail=?", keys)
        return [_ban(row) for _, row in found]

    def past(self, keys: Iterable[Key]) -> dict[Key, list[Ended]]:
        """What the history knows of the bans of (network, jail)."""
        found: dict[Key, list[Ended]] = {}
        for key, row in self._each("SELECT at,ended,why FROM history WHERE network=? AND jail=?", keys):
            found.setdefault(key, []).append(Ended(*row))
        return found

    def _each(self, query: str, keys: Iterable[Key]) -> Iterator[tuple[Key, tuple[Any, ...]]]:
        with self._lock, self._errors():
            for network, jail in keys:
                for row in self._db.execute(query, (_key(network), jail)):
                    yield (network, jail), row

    def counts(self) -> Iterator[tuple[Network, str, int, Instant]]:
        """For each network and jail how often it was banned, and when last; what a person lifted was none."""
        for key, jail, count, at in self._rows(_COUNT_BANS):
            yield _network(key), jail, count, at

    def failures(self) -> Iterator[Failure]:
        """Every failure that counted when it was written, oldest first."""
        for jail, key, at, line in self._rows("SELECT jail,network,at,line FROM failures ORDER BY at"):
            yield Failure(jail, _network(key), at, line)

    def positions(self) -> dict[str, Position]:
        """How far each log was read."""
        rows = self._rows("SELECT path,inode,offset,head FROM positions")
        return {path: Position(path, inode, offset, head) for path, inode, offset, head in rows}

    def zones(self) -> dict[str, Seconds | None]:
        """The zone of each log for which one was learnt."""
        return dict(self._rows("SELECT path,offset FROM zones"))

    def allowed(self) -> list[Allowed]:
        """The networks that a person allowed, those that ended included."""
        rows = self._rows("SELECT network,at,until,reason FROM allowed")
        return [Allowed(_network(key), at, until, reason) for key, at, until, reason in rows]
