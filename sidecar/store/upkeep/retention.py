"""Finds rows that nothing needs any more, and deletes them in slices, so that no commit waits for long."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from sidecar.model import Instant
from sidecar.network import Network
from sidecar.store import rows
from sidecar.store.database import Database

# Maximum number of contents per log, as in sources/files/content.py.
MOST_FILES = 512
# Rows per transaction, which takes a few milliseconds; and rows of a table per search.
SLICE = 500
_MOST_FOUND = 50_000
_DELETE_POSITIONS = (
    "DELETE FROM positions WHERE rowid IN (SELECT id FROM (SELECT rowid AS id, ROW_NUMBER() OVER"
    " (PARTITION BY path ORDER BY rowid DESC) AS n FROM positions) WHERE n > ?)"
)
# Reasons for an end that leave no earlier ban to count, as in rows.COUNT_BANS.
_UNCOUNTED = "why IN ('manual','replaced')"
# The oldest bans that ended since ?1. First those that growing ban times do not need: of each network and
# jail they need the ban with the highest count.
_SURPLUS = (
    "SELECT rowid, ended FROM (SELECT rowid, ended, {uncounted} OR {steady} OR ROW_NUMBER() OVER"
    " (PARTITION BY network, jail, {uncounted} ORDER BY count DESC, at DESC) > 1 AS spare"
    " FROM history WHERE ended>?1) ORDER BY spare DESC, ended LIMIT ?2"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still needed.

    `failures`: the latest time per jail up to which failures no longer count; those of other jails do not
    count. `history`: bans that ended up to then are deleted, and the oldest beyond `history_rows`; of the
    jails in `growing` (None: of all) those last that count for growing ban times. `logins`: logins up to then
    are deleted. `allowed`: networks whose exemption ended up to then are deleted, except `still_allowed`.
    """

    failures: Mapping[str, Instant]
    history: Instant = 0.0
    history_rows: int = 100_000
    growing: frozenset[str] | None = frozenset()
    logins: Instant = 0.0
    allowed: Instant = 0.0
    still_allowed: frozenset[Network] = frozenset()


class Deletion(NamedTuple):
    """A statement that deletes one row, and its parameters. It repeats the condition, because the row number
    may belong to another row by now."""

    statement: str
    parameters: tuple[object, ...]


def overdue(database: Database, limits: Limits) -> list[Deletion]:
    """The rows that are not needed, up to a limit per table: another search may find more. StoreError."""
    with database.reader() as db:
        each = (
            _failures(db, limits.failures),
            _history(db, limits),
            _logins(db, limits.logins),
            _allowed(db, limits),
        )
        return [deletion for some in each for deletion in islice(some, _MOST_FOUND)]


def slices(found: list[Deletion]) -> Iterator[list[Deletion]]:
    """The deletions in portions for one transaction each."""
    return (found[start : start + SLICE] for start in range(0, len(found), SLICE))


def history_rows(database: Database) -> int:
    """Number of ended bans in the history. StoreError."""
    with database.reader() as db:
        (number,) = db.execute("SELECT COUNT(*) FROM history").fetchone()
        return int(number)


def delete(database: Database, some: Iterable[Deletion]) -> None:
    """Delete these rows in one transaction."""
    with database.transaction() as db:
        for statement, parameters in some:
            db.execute(statement, parameters)


def delete_old_positions(database: Database) -> None:
    """Delete the oldest positions of each log beyond MOST_FILES."""
    with database.transaction() as db:
        db.execute(_DELETE_POSITIONS, (MOST_FILES,))


def _failures(db: sqlite3.Connection, oldest: Mapping[str, Instant]) -> Iterator[Deletion]:
    statement = "DELETE FROM failures WHERE rowid=? AND jail=? AND at<=?"
    for (jail,) in db.execute("SELECT DISTINCT jail FROM failures").fetchall():
        until = oldest.get(jail, float("inf"))
        query = "SELECT rowid FROM failures WHERE jail=? AND at<=?"
        for (number,) in db.execute(query, (jail, until)):
            yield Deletion(statement, (number, jail, until))


def _history(db: sqlite3.Connection, limits: Limits) -> Iterator[Deletion]:
    statement = "DELETE FROM history WHERE rowid=? AND ended=?"
    for row in db.execute("SELECT rowid, ended FROM history WHERE ended<=?", (limits.history,)):
        yield Deletion(statement, row)
    (number,) = db.execute("SELECT COUNT(*) FROM history WHERE ended>?", (limits.history,)).fetchone()
    if number > limits.history_rows:
        growing = limits.growing
        jails = ",".join(f"?{number + 3}" for number in range(len(growing or ())))
        steady = "0" if growing is None else f"jail NOT IN ({jails})"
        query = _SURPLUS.format(uncounted=_UNCOUNTED, steady=steady)
        values = (limits.history, number - limits.history_rows, *(growing or ()))
        for row in db.execute(query, values):
            yield Deletion(statement, row)


def _logins(db: sqlite3.Connection, until: Instant) -> Iterator[Deletion]:
    for (number,) in db.execute("SELECT rowid FROM good WHERE at<=?", (until,)):
        yield Deletion("DELETE FROM good WHERE rowid=? AND at<=?", (number, until))


def _allowed(db: sqlite3.Connection, limits: Limits) -> Iterator[Deletion]:
    for (key,) in db.execute("SELECT network FROM allowed WHERE until<=?", (limits.allowed,)):
        if rows.network_of(key) not in limits.still_allowed:
            yield Deletion("DELETE FROM allowed WHERE network=? AND until<=?", (key, limits.allowed))
