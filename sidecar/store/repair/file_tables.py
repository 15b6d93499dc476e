"""The tables of zmban in a damaged file: root page and columns of each, and the value of a row."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from itertools import islice
from typing import Any

from sidecar.model import LATEST, Ban, Failure, Position
from sidecar.network import BITS, Network
from sidecar.store import migrations, rows
from sidecar.store.changes import Allowed, Change, HistoryEntry, Login, Memo, Zone
from sidecar.store.migrations import TABLES
from sidecar.store.repair.btree import Row, Trees
from sidecar.store.repair.file_pages import DatabasePages

Values = Mapping[str, Any]
_ORIGINS = {"log", "manual", "import", "cluster"}
_KINDS = {"str": str, "int": int, "bytes": bytes}
# Page 1 is the root of sqlite_schema, which lists all tables.
_SCHEMA = 1
# All root pages lie at the start of the file; the search for them ends here.
_LAST_ROOT = 64
# Number of rows that identify a table.
_SAMPLE = 5
# Positions in the logs are valid only with the failures before them.
READING = ("failures", "positions")


@dataclass(frozen=True)
class Table:
    """One table of a file: its columns in stored order; `key` is the column that aliases the rowid; `index`:
    a WITHOUT ROWID table, stored as an index; `defaults`: the values of the last columns, which older rows
    lack."""

    name: str
    columns: tuple[str, ...]
    key: str | None
    index: bool
    defaults: tuple[str, ...] = ()

    def values(self, row: Row) -> dict[str, Any]:
        """A row as a mapping by column. ValueError for a different number of columns."""
        # A row from before a column was added lacks its value.
        absent = len(self.columns) - len(row.values)
        if not 0 <= absent <= len(self.defaults):
            raise ValueError("wrong number of columns")
        values = (*row.values, *self.defaults[len(self.defaults) - absent :])
        named = dict(zip(self.columns, values, strict=True))
        if self.key is not None:
            named[self.key] = row.number
        return named


@cache
def of_version(version: int) -> dict[str, Table]:
    """The tables of a schema version."""
    found: dict[str, Table] = {}
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.executescript(migrations.script(version))
        for name, text in db.execute("SELECT name, sql FROM sqlite_schema WHERE type='table'").fetchall():
            columns = db.execute(f"PRAGMA table_info({name})").fetchall()
            index = "WITHOUT ROWID" in text
            keys = [column[1] for column in columns if column[5] and column[2] == "INTEGER"]
            whole = "INTEGER PRIMARY KEY" in text
            # All columns that were added later are text.
            defaults = tuple(c[4].strip("'") for c in columns if c[4] is not None)
            found[name] = Table(
                name, tuple(c[1] for c in columns), keys[0] if whole else None, index, defaults
            )
    return found


def found_in(pages: DatabasePages, trees: Trees) -> tuple[dict[str, tuple[Table, int]], list[str]]:
    """Each table found in a file with its root page, and the names of those not found. Root pages come from
    sqlite_schema, or if that is damaged, from the rows on the pages."""
    listed = dict(_listed_roots(trees))
    newest = migrations.newest()
    version = pages.version if pages.version in range(1, newest + 1) else None
    shapes = [of_version(version)] if version else [of_version(n) for n in range(newest, 0, -1)]
    # An empty page may be any missing table; failures and positions, where a wrong guess is worse, come last.
    expected = sorted((name for name in TABLES if name in shapes[0]), key=lambda name: name in READING)
    found: dict[str, tuple[Table, int]] = {}
    for empty in (False, True):
        for name in expected:
            taken = {*listed.values(), *(root for _, root in found.values())}
            free = (n for n in range(2, min(pages.count, _LAST_ROOT) + 1) if n not in taken)
            places = [listed[name]] if name in listed else free
            tables = dict.fromkeys(shape[name] for shape in shapes if name in shape)
            if name not in found:
                both = ((table, root) for root in places for table in tables)
                certain = version is not None and name in listed
                fitting = (one for one in both if certain or _fits(*one, trees, empty=empty))
                found.update((name, one) for one in islice(fitting, 1))
    return found, [name for name in expected if name not in found]


def _listed_roots(trees: Trees) -> Iterator[tuple[str, int]]:
    for row in trees.rows(_SCHEMA, lambda _: None):
        if len(row.values) == 5 and isinstance(row.values[1], str) and isinstance(row.values[3], int):
            yield row.values[1], row.values[3]


def _fits(table: Table, root: int, trees: Trees, *, empty: bool) -> bool:
    """Whether the rows below a page are valid rows of this table; with `empty`, whether there are none."""
    if trees.kind(root) not in ((table.index,) if empty else (None, table.index)):
        return False
    sample = [*islice(trees.rows(root, lambda _: None, index=table.index), _SAMPLE)]
    try:
        for row in sample:
            MEANING[table.name](table.values(row))
    except SENSELESS:
        return False
    return bool(sample) is not empty


def network_of(key: Any) -> Network:
    """The network of a stored key. ValueError for an invalid one."""
    network = rows.network_of(_checked(key, bytes))
    if (
        network.version not in BITS
        or network.length > BITS[network.version]
        or len(key) != 2 + BITS[network.version] // 8
        or network.supernet(network.length) != network
    ):
        raise ValueError("invalid network")
    return network


def _moment(at: object) -> float:
    if not isinstance(at, int | float) or not math.isfinite(at):
        raise ValueError("invalid time")
    return float(at)


def _end(until: object) -> float | None:
    """The end of a ban; None (permanent) for one after LATEST."""
    return None if until is None or _moment(until) > LATEST else _moment(until)


def _count(value: Any) -> int:
    if not 0 <= _checked(value, int) < 2**31:
        raise ValueError("invalid number")
    return int(value)


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"no {kind.__name__}")  # noqa: TRY004 - one error for all invalid values
    return value


def ban_of(row: Values) -> Ban:
    """The ban of a row. One of `SENSELESS` for an invalid row."""
    if row["origin"] not in _ORIGINS:
        raise ValueError("invalid origin")
    jail, reason = _checked(row["jail"], str), _checked(row["reason"], str)
    failures, times, dry = (_count(row[name]) for name in ("failures", "count", "dry"))
    at, until = min(_moment(row["at"]), LATEST), _end(row["until"])
    network = network_of(row["network"])
    by = _checked(row.get("actor", ""), str)
    return Ban(network, jail, at, until, row["origin"], reason, failures, (), times, dry == 1, by)


def evidence_of(text: Any) -> tuple[str, ...]:
    """The log lines of a row of evidence. ValueError for invalid text."""
    lines = json.loads(_checked(text, str))
    if not all(isinstance(line, str) for line in _checked(lines, list)):
        raise ValueError("invalid evidence")
    return tuple(lines)


def _evidence(row: Values) -> Ban:
    """A placeholder ban with the lines of a row of evidence, which holds only the id of its ban."""
    unknown = Network(4, 0, 32)
    return Ban(unknown, "", 0.0, None, "log", evidence=evidence_of(row["lines"]))


def _past(row: Values) -> HistoryEntry:
    return HistoryEntry(ban_of({**row, "dry": 0}), _moment(row["ended"]), _checked(row["why"], str))


def _failure(row: Values) -> Failure:
    at, line = _moment(row["at"]), _checked(row["line"], str)
    return Failure(_checked(row["jail"], str), network_of(row["network"]), at, line)


def _position(row: Values) -> Position:
    return Position(
        **{
            field.name: _checked(row[field.name], _KINDS.get(str(field.type), object))
            for field in fields(Position)
        }
    )


def _allowed(row: Values) -> Allowed:
    at, until = _moment(row["at"]), _end(row["until"])
    by = _checked(row.get("actor", ""), str)
    return Allowed(network_of(row["network"]), at, until, _checked(row["reason"], str), by)


def _good(row: Values) -> Login:
    return Login(network_of(row["network"]), _checked(row["account"], str), _moment(row["at"]))


def _zone(row: Values) -> Zone:
    return Zone(_checked(row["path"], str), _end(row["offset"]))


def _memo(row: Values) -> Memo:
    kind, key, value = (_checked(row[name], str) for name in ("kind", "key", "value"))
    return Memo(kind, key, value, _moment(row["at"]))


# Turns a row of each table into a value. An invalid row raises one of SENSELESS.
MEANING: dict[str, Callable[[Values], Change]] = {
    "bans": ban_of,
    "evidence": _evidence,
    "allowed": _allowed,
    "history": _past,
    "zones": _zone,
    "good": _good,
    "failures": _failure,
    "positions": _position,
    "memos": _memo,
}
SENSELESS = (ValueError, TypeError, IndexError, KeyError, OverflowError, RecursionError)
