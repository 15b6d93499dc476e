"""What can still be read of a damaged database, row by row, into a new one."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidecar.model import Ban, Failure, Position
from sidecar.network import BITS, Network
from sidecar.store import damage, rows
from sidecar.store.changes import Allowed, Change, Good, Lines, Past, Zone
from sidecar.store.database import Database

Row = tuple[Any, ...]
# Both or neither.
_READING = {"failures", "positions"}
# Since which version there is such a table.
_SINCE = {"zones": 2, "good": 5}
_ORIGINS = {"log", "manual", "import", "cluster"}
# Behind damage the next row is looked for in small steps at first: little between two damages is missed.
_STEP = 16
_SMALL_STEPS = 4096
_LAST_ROW = 2**62


@dataclass
class Salvaged:
    """How many rows of each table were taken over, and which tables could not be read whole, and why."""

    taken: dict[str, int] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        taken = ", ".join(f"{number} {table}" for table, number in self.taken.items() if number)
        lost = ", ".join(f"{table} ({why})" for table, why in self.broken.items())
        return f"taken over: {taken or 'nothing'}" + (f"; not read whole: {lost}" if lost else "")


def salvage(path: Path, into: Database, *tables: str) -> Salvaged:
    """Copy what can be read of a file into a new database: of all tables, or of those that are named.

    How far the logs were read is worth something only with the failures that were found there: both are taken
    if both are whole, else neither, and the logs are read again as far as failures count.
    """
    found = Salvaged()
    try:
        with damage.opened(path, new_database()) as db:
            db.text_factory = lambda data: data.decode("utf-8", "replace")
            into.write(_changes(db, tables or tuple(_TABLES), found))
    except (OSError, sqlite3.Error, MemoryError) as error:
        found.broken["all"] = str(error)
    return found


def _changes(db: sqlite3.Connection, tables: Sequence[str], found: Salvaged) -> Iterator[Change]:
    for table in tables:
        if table not in _READING:
            found.taken[table] = 0
            for change in _read(db, table, found.broken):
                found.taken[table] += 1
                yield change
    reading = {table: list(_read(db, table, found.broken)) for table in tables if table in _READING}
    if not reading.keys() & found.broken.keys():
        for table, changes in reading.items():
            found.taken[table] = len(changes)
            yield from changes


def new_database() -> bytes:
    """A database without a row, as a file would hold it."""
    with contextlib.closing(Database(Path(), memory=True)) as database:
        return database.serialized()


def _read(db: sqlite3.Connection, table: str, broken: dict[str, str]) -> Iterator[Change]:
    """The rows that are whole, as changes; `broken` says of a table that not all of them were."""
    key, columns, change = _TABLES[table]
    if table == "evidence":
        yield from _evidence(db, broken)
        return
    if table == "positions" and _has(db, "positions", "tail"):
        # Up to version 2 it was ordered by the path alone.
        key, columns = "rowid", "path,inode,offset,head,tail"
    try:
        db.execute(f"SELECT {columns} FROM {table} LIMIT 0")  # noqa: S608 - only the names below
    except sqlite3.Error as error:
        if not _is_older(db, table):
            broken[table] = str(error)
        return
    reading = _by_row if key == "rowid" else _by_key
    for row in reading(db, table, key, columns, broken):
        try:
            yield change(*row)
        except (ValueError, TypeError, IndexError, OverflowError):
            broken.setdefault(table, "a row makes no sense")


def _has(db: sqlite3.Connection, table: str, column: str) -> bool:
    with contextlib.suppress(sqlite3.Error):
        db.execute(f"SELECT {column} FROM {table} LIMIT 0")  # noqa: S608 - only our own names
        return True
    return False


def _evidence(db: sqlite3.Connection, broken: dict[str, str]) -> Iterator[Change]:
    """The lines of each ban that can be read; up to version 3 they stood in its row."""
    inside = _has(db, "bans", "evidence")
    columns = f"network,jail,{'evidence' if inside else 'id'}"
    for key, jail, found in _by_row(db, "bans", "rowid", columns, {}):
        try:
            if not inside:
                query = "SELECT lines FROM evidence WHERE ban=?"
                (found,) = db.execute(query, (found,)).fetchone() or ("[]",)
            lines = json.loads(found)
            if lines and all(isinstance(line, str) for line in lines):
                yield Lines(_network(key), _checked(jail, str), tuple(lines))
        except (sqlite3.Error, ValueError, TypeError, IndexError) as error:
            broken.setdefault("evidence", str(error))


def _is_older(db: sqlite3.Connection, table: str) -> bool:
    """Whether the database is of a version that had no such table."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    return version < _SINCE.get(table, 0)


def _by_row(
    db: sqlite3.Connection, table: str, key: str, columns: str, broken: dict[str, str]
) -> Iterator[Row]:
    """Every readable row of a table, in order; around each damage a row at a time."""
    query = f"SELECT rowid,{columns} FROM {table} NOT INDEXED WHERE rowid>? ORDER BY rowid"  # noqa: S608
    at = -1
    while True:
        try:
            for one in db.execute(query, (at,)):
                at = one[0]
                yield one[1:]
        except sqlite3.Error as error:
            broken.setdefault(table, str(error))
        else:
            return
        # The row before the one that cannot be read is lost with it, unless it is asked for alone.
        with contextlib.suppress(sqlite3.Error):
            while one := db.execute(f"{query} LIMIT 1", (at,)).fetchone():
                at = one[0]
                yield one[1:]
        beyond = _beyond(db, table, at)
        if beyond is None:
            return
        at = beyond - 1


def _beyond(db: sqlite3.Connection, table: str, at: int) -> int | None:
    """The first number above `at` from which on rows can be read again; None if there is none."""

    def readable(number: int) -> bool:
        query = f"SELECT rowid FROM {table} NOT INDEXED WHERE rowid>=? ORDER BY rowid LIMIT 1"  # noqa: S608
        try:
            db.execute(query, (number,)).fetchone()
        except sqlite3.Error:
            return False
        return True

    damaged, step, tries = at + 1, _STEP, 0
    while not readable(damaged + step):
        damaged += step
        tries += 1
        step = step if tries < _SMALL_STEPS else step * 2
        if damaged > _LAST_ROW:
            return None
    whole = damaged + step
    while whole - damaged > 1:
        middle = (whole + damaged) // 2
        if readable(middle):
            whole = middle
        else:
            damaged = middle
    return whole


def _by_key(
    db: sqlite3.Connection, table: str, key: str, columns: str, broken: dict[str, str]
) -> Iterator[Row]:
    """The rows of a small table without numbers, from both ends up to the damage."""
    seen = set()
    for sign, order in ((">", "ASC"), ("<", "DESC")):
        query = f"SELECT {key},{columns} FROM {table} {{}} ORDER BY {key} {order} LIMIT 1"  # noqa: S608
        at: tuple[Any, ...] = ()
        try:
            while one := db.execute(query.format(f"WHERE {key}{sign}?" if at else ""), at).fetchone():
                at = one[:1]
                if at in seen:
                    return
                seen.add(at)
                yield one[1:]
        except sqlite3.Error as error:
            broken.setdefault(table, str(error))
        else:
            return


def _network(key: bytes) -> Network:
    network = rows.network_of(key)
    if (
        network.version not in BITS
        or network.length > BITS[network.version]
        or len(key) != 2 + BITS[network.version] // 8
        or network.supernet(network.length) != network
    ):
        raise ValueError("no network")
    return network


def _moment(at: object) -> float:
    if not isinstance(at, int | float) or not math.isfinite(at):
        raise ValueError("no time")
    return float(at)


def _end(until: object) -> float | None:
    return None if until is None else _moment(until)


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"no {kind.__name__}")  # noqa: TRY004 - one error for whatever makes no sense
    return value


def _ban(*row: Any) -> Ban:
    ban = rows.standing_of(row)
    _network(row[0]), _moment(ban.at), _end(ban.until)
    for value, kind in ((ban.jail, str), (ban.reason, str), (ban.failures, int), (ban.times, int)):
        _checked(value, kind)
    if ban.origin not in _ORIGINS:
        raise ValueError("no ban")
    return ban


def _past(*row: Any) -> Past:
    key, jail, at, until, ended, why, origin, reason, failures, count = row
    ban = _ban(key, jail, at, until, origin, reason, failures, count, 0)
    return Past(ban, _moment(ended), _checked(why, str))


def _failure(jail: Any, key: Any, at: Any, line: Any) -> Failure:
    return Failure(_checked(jail, str), _network(key), _moment(at), _checked(line, str))


def _position(path: Any, inode: Any, offset: Any, head: Any, tail: Any = b"") -> Position:
    numbers = _checked(inode, int), _checked(offset, int)
    return Position(_checked(path, str), *numbers, _checked(head, bytes), _checked(tail, bytes))


def _allowed(key: Any, at: Any, until: Any, reason: Any) -> Allowed:
    return Allowed(_network(key), _moment(at), _end(until), _checked(reason, str))


def _good(key: Any, account: Any, at: Any) -> Good:
    return Good(_network(key), _checked(account, str), _moment(at))


def _zone(path: Any, offset: Any) -> Zone:
    return Zone(_checked(path, str), _end(offset))


# By table what it is ordered by, its columns, and what a row means. Bans first: they matter most, and a ban
# that is written takes the failures of its network away.
_TABLES: dict[str, tuple[str, str, Callable[..., Change]]] = {
    "bans": ("rowid", "network,jail,at,until,origin,reason,failures,count,dry", _ban),
    "evidence": ("", "", _ban),
    "allowed": ("network", "network,at,until,reason", _allowed),
    "history": ("rowid", "network,jail,at,until,ended,why,origin,reason,failures,count", _past),
    "zones": ("path", "path,offset", _zone),
    "good": ("rowid", "network,account,at", _good),
    "failures": ("rowid", "jail,network,at,line", _failure),
    "positions": ("path", "path,inode,offset,head", _position),
}
