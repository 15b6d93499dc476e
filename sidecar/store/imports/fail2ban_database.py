"""Reads the current and past bans of a Fail2Ban database, schema 1 to 4. Never writes to it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sidecar.model import LONGEST, Ban, Instant, Seconds, StoreError
from sidecar.network import Network
from sidecar.store.imports.entry import ListedBan, Skipped, is_jail, kept

MAGIC = b"SQLite format 3\0"
# The default of Fail2Ban, for a ban without a bantime whose jail is not configured.
DEFAULT_BANTIME: Seconds = 600.0
_SCHEMAS = (1, 2, 3, 4)
_NEEDED = {"jail", "ip", "timeofban"}
_FOR_EVER = -1
_LATEST: Instant = 2**32
_MOST = 2**31
# Limit for the lines of one ban. A longer value is damage.
_LONGEST_VALUE = 64 << 20
_REASON = "imported from Fail2Ban"


def read(path: Path, name: str, bantime: Callable[[str], Seconds | None]) -> Iterator[ListedBan | Skipped]:
    """Every ban of the database, current ones first; error messages call the file `name`.

    `bantime(jail)` returns the length of bans that are stored without one (None: permanent). StoreError if
    the file cannot be read to its end.

    The file is opened as immutable: no lock, no journal, nothing written beside it. The caller must detect
    changes during the read.
    """
    try:
        with contextlib.closing(_opened(path.resolve(), name)) as db:
            for row in db.execute(_query(_tables(db, path, name))):
                yield _entry(row, bantime)
    except sqlite3.Error as error:
        raise StoreError(f"{name}: {_damaged(str(error))}") from error


def _damaged(what: str) -> str:
    cure = "sqlite3 FILE .recover may save the rest"
    return f"the database is damaged ({what}); nothing was imported. {cure}"


def _opened(path: Path, name: str) -> sqlite3.Connection:
    for suffix in ("-journal", "-wal"):
        if _in_use(path.with_name(path.name + suffix)):
            text = f"{name}{suffix} holds changes that are not yet in the database"
            raise StoreError(f'{text}; stop Fail2Ban, or import a copy made with sqlite3 FILE ".backup COPY"')
    db = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    # Text in another encoding is not an error.
    db.text_factory = lambda data: data.decode("utf-8", "replace")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "temp_store=MEMORY"):
        db.execute(f"PRAGMA {pragma}")
    return db


def _in_use(journal: Path) -> bool:
    """Whether a journal holds changes: a finished one begins with zeros."""
    try:
        with journal.open("rb") as file:
            return any(file.read(8))
    except OSError:
        return False


def _tables(db: sqlite3.Connection, path: Path, name: str) -> dict[str, set[str]]:
    """The columns of each table. StoreError unless it is an intact Fail2Ban database of a known schema."""
    # Tables only: a view with that name could be an endless query.
    names = [table for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    if "fail2banDb" not in names:
        raise StoreError(f"{name} is not a Fail2Ban database: it has no table fail2banDb")
    (version,) = db.execute("SELECT MAX(version) FROM fail2banDb").fetchone()
    if version not in _SCHEMAS:
        raise StoreError(f"{name}: unknown Fail2Ban schema {version!r:.40}; 1 to 4 are supported")
    (pages,), (size,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    if pages * size > path.stat().st_size:
        # SQLite would read the missing part of the last page as zeros.
        raise StoreError(f"{name}: {_damaged('the file is truncated')}")
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StoreError(f"{name}: {_damaged(str(verdict).splitlines()[-1])}")
    tables = {
        table: {column for _, column, *_ in db.execute(f"PRAGMA table_info({table})")}
        for table in ("bans", "bips")
        if table in names
    }
    for table, columns in tables.items():
        if not columns >= _NEEDED:
            raise StoreError(f"{name}: {_damaged(f'table {table} lacks a column')}")
    if "bans" not in tables:
        raise StoreError(f"{name}: {_damaged('no table bans')}")
    return tables


def _query(tables: dict[str, set[str]]) -> str:
    """Query for ip, jail, timeofban, bantime, bancount, data, and whether the ban is current."""

    def columns(table: str, count: str = "NULL") -> str:
        absent = {"bantime": "NULL", "bancount": count, "data": "NULL"}
        rest = (f"{table}.{name}" if name in tables[table] else no for name, no in absent.items())
        return f"{table}.ip, {table}.jail, {table}.timeofban, {', '.join(rest)}"

    if "bips" in tables:
        # A current ban is in both tables.
        return (
            f"SELECT {columns('bips')}, 1 FROM bips UNION ALL"  # noqa: S608 - only the names above
            f" SELECT {columns('bans')}, 0 FROM bans LEFT JOIN bips USING (ip, jail, timeofban)"
            " WHERE bips.ip IS NULL"
        )
    # Without a table of current bans, the last ban of an address is current, and its count is the number of
    # bans. Only rowids are sorted, so that the log lines need no memory.
    return (
        f"SELECT {columns('bans', 'n')}, latest FROM"  # noqa: S608 - only the names above
        " (SELECT rowid AS r, ROW_NUMBER() OVER w AS n, LEAD(rowid) OVER w IS NULL AS latest FROM bans"
        " WINDOW w AS (PARTITION BY jail, ip ORDER BY timeofban, rowid)) JOIN bans ON bans.rowid = r"
    )


def _entry(row: tuple[Any, ...], bantime: Callable[[str], Seconds | None]) -> ListedBan | Skipped:
    ip, jail, at, length, count, data, current = row
    if not is_jail(jail):
        return Skipped(str(ip)[:200], f"jail {jail!r}"[:200], "unreadable")
    place = f"jail {jail}"
    if not isinstance(at, int | float) or not 0 <= at < _LATEST:
        return Skipped(str(ip)[:200], place, "unreadable")
    try:
        banned = Network.around(ip if isinstance(ip, str) else "")
    except ValueError:
        return Skipped(str(ip)[:200], place, "not-a-network")
    until = _until(float(at), length, lambda: bantime(jail))
    failures, evidence = _failures_and_lines(data)
    times = count if isinstance(count, int) and 0 < count < _MOST else 1
    ban = Ban(banned, jail, float(at), until, "import", _REASON, failures, evidence, times)
    return ListedBan(ban, bool(current))


def _until(at: Instant, length: object, unknown: Callable[[], Seconds | None]) -> Instant | None:
    """The end of a ban. A length of -2 or NULL was never stored: Fail2Ban leaves it after an upgrade."""
    if length == _FOR_EVER:
        return None
    known = length if isinstance(length, int | float) and length >= 0 else unknown()
    return None if known is None or known > LONGEST else at + known


def _failures_and_lines(data: object) -> tuple[int, tuple[str, ...]]:
    """Number of failures and log lines of a `data` column. Text that is not JSON counts as one line."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    if not isinstance(text, str) or text in ("", "null"):
        return 0, ()
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        return 0, kept([text])
    matches, failures = parsed.get("matches"), parsed.get("failures")
    lines = [_line(one) for one in matches] if isinstance(matches, list) else []
    number = failures if isinstance(failures, int) and 0 <= failures < _MOST else len(lines)
    return number, kept(lines)


def _line(match: object) -> str:
    """A log line, stored as text or in three parts: before the date, the date, after it."""
    parts = match if isinstance(match, list) else [match]
    return "".join(part for part in parts if isinstance(part, str))
