"""Our tables in a damaged file: where each begins, what its columns are, and what a row of it means."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from itertools import islice
from typing import Any

from sidecar.model import LATEST, Ban, Failure, Position
from sidecar.network import BITS, Network
from sidecar.store import rows
from sidecar.store.changes import Allowed, Change, Good, Past, Zone
from sidecar.store.database import TABLES, VERSION, schema
from sidecar.store.repair.btree import Row, Trees
from sidecar.store.repair.pages import Pages

Values = Mapping[str, Any]
_ORIGINS = {"log", "manual", "import", "cluster"}
_KINDS = {"str": str, "int": int, "bytes": bytes}
# The first page of all, with what it says of all tables.
_SCHEMA = 1
# SQLite keeps all roots at the beginning of a file like ours; so far they are looked for.
_LAST_ROOT = 64
# So many rows tell which table it is.
_SAMPLE = 5
# How far the logs were read, and what was found there.
READING = ("failures", "positions")


@dataclass(frozen=True)
class Table:
    """One table of a file: its columns in order of their storing; `key` is the one that is the row's number;
    `index` where it is stored as one."""

    name: str
    columns: tuple[str, ...]
    key: str | None
    index: bool

    def values(self, row: Row) -> dict[str, Any]:
        """A row by the names of its columns. ValueError for one of another shape."""
        if len(row.values) != len(self.columns):
            raise ValueError("a row of another shape")
        named = dict(zip(self.columns, row.values, strict=True)) | {"rowid": row.number}
        if self.key is not None:
            named[self.key] = row.number
        return named


@cache
def of_version(version: int) -> dict[str, Table]:
    """The tables that a database of this version has."""
    found: dict[str, Table] = {}
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.executescript(schema(version))
        for name, text in db.execute("SELECT name, sql FROM sqlite_schema WHERE type='table'").fetchall():
            columns = db.execute(f"PRAGMA table_info({name})").fetchall()
            index = "WITHOUT ROWID" in text
            keys = [column[1] for column in columns if column[5] and column[2] == "INTEGER"]
            whole = "INTEGER PRIMARY KEY" in text
            found[name] = Table(name, tuple(c[1] for c in columns), keys[0] if whole else None, index)
    return found


def found_in(pages: Pages, trees: Trees) -> tuple[dict[str, tuple[Table, int]], list[str]]:
    """Each table that a file has, with its first page, and those that it should have: as the file says, or
    where that is damaged, by what stands on its pages."""
    said = dict(_said(trees))
    version = pages.version if pages.version in range(1, VERSION + 1) else None
    shapes = [of_version(version)] if version else [of_version(n) for n in range(VERSION, 0, -1)]
    # What is empty may be any that is missing: first those of which that says little.
    expected = sorted((name for name in TABLES if name in shapes[0]), key=lambda name: name in READING)
    found: dict[str, tuple[Table, int]] = {}
    for empty in (False, True):
        for name in expected:
            taken = {*said.values(), *(root for _, root in found.values())}
            free = (n for n in range(2, min(pages.count, _LAST_ROOT) + 1) if n not in taken)
            places = [said[name]] if name in said else free
            tables = dict.fromkeys(shape[name] for shape in shapes if name in shape)
            if name not in found:
                both = ((table, root) for root in places for table in tables)
                sure = version is not None and name in said
                fitting = (one for one in both if sure or _fits(*one, trees, empty=empty))
                found.update((name, one) for one in islice(fitting, 1))
    return found, [name for name in expected if name not in found]


def _said(trees: Trees) -> Iterator[tuple[str, int]]:
    for row in trees.rows(_SCHEMA, lambda _: None):
        if len(row.values) == 5 and isinstance(row.values[1], str) and isinstance(row.values[3], int):
            yield row.values[1], row.values[3]


def _fits(table: Table, root: int, trees: Trees, *, empty: bool) -> bool:
    """Whether what stands below this page makes sense as rows of this table, or (`empty`) nothing does."""
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
    """The network of a key as the database holds it. ValueError for one that is none."""
    network = rows.network_of(_checked(key, bytes))
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
    """An end that no calendar shows is none."""
    return None if until is None or _moment(until) > LATEST else _moment(until)


def _count(value: Any) -> int:
    if not 0 <= _checked(value, int) < 2**31:
        raise ValueError("no number")
    return int(value)


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"no {kind.__name__}")  # noqa: TRY004 - one error for whatever makes no sense
    return value


def ban_of(row: Values) -> Ban:
    """The ban of a row. One of `SENSELESS` for one that makes no sense."""
    if row["origin"] not in _ORIGINS:
        raise ValueError("no ban")
    jail, reason = _checked(row["jail"], str), _checked(row["reason"], str)
    failures, times, dry = (_count(row[name]) for name in ("failures", "count", "dry"))
    at, until = min(_moment(row["at"]), LATEST), _end(row["until"])
    lines = evidence_of(row["evidence"]) if row.get("evidence") else ()
    network = network_of(row["network"])
    return Ban(network, jail, at, until, row["origin"], reason, failures, lines, times, dry == 1)


def evidence_of(text: Any) -> tuple[str, ...]:
    """The lines that were kept with a ban. ValueError for text that holds none."""
    lines = json.loads(_checked(text, str))
    if not all(isinstance(line, str) for line in _checked(lines, list)):
        raise ValueError("no lines")
    return tuple(lines)


def _evidence(row: Values) -> Ban:
    """Of a row of evidence the lines; its ban is known by its number alone."""
    nobody = Network(4, 0, 32)
    return Ban(nobody, "", 0.0, None, "log", evidence=evidence_of(row["lines"]))


def _past(row: Values) -> Past:
    return Past(ban_of({**row, "dry": 0}), _moment(row["ended"]), _checked(row["why"], str))


def _failure(row: Values) -> Failure:
    at, line = _moment(row["at"]), _checked(row["line"], str)
    return Failure(_checked(row["jail"], str), network_of(row["network"]), at, line)


def _position(row: Values) -> Position:
    # Before version 6 a position had no number of its own: it gets that of its row.
    row = {"content": row.get("rowid") or 0, **row}
    values = {}
    for field in fields(Position):
        value = row[field.name] if field.default is MISSING else row.get(field.name, field.default)
        values[field.name] = _checked(value, _KINDS.get(str(field.type), object))
    return Position(**values)


def _allowed(row: Values) -> Allowed:
    at, until = _moment(row["at"]), _end(row["until"])
    return Allowed(network_of(row["network"]), at, until, _checked(row["reason"], str))


def _good(row: Values) -> Good:
    return Good(network_of(row["network"]), _checked(row["account"], str), _moment(row["at"]))


def _zone(row: Values) -> Zone:
    return Zone(_checked(row["path"], str), _end(row["offset"]))


# What a row of each table means. One of these errors where it means nothing.
MEANING: dict[str, Callable[[Values], Change]] = {
    "bans": ban_of,
    "evidence": _evidence,
    "allowed": _allowed,
    "history": _past,
    "zones": _zone,
    "good": _good,
    "failures": _failure,
    "positions": _position,
}
SENSELESS = (ValueError, TypeError, IndexError, KeyError, OverflowError, RecursionError)
