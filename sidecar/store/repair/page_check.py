"""Checks every page of a database in a thread: the check of SQLite has no timeout."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

from sidecar.model import Seconds
from sidecar.store.errors import is_damage, printable

# An intact page may hold invalid rows, which would break the next start.
_NETWORK = (
    "(length(network)=6 AND substr(network,1,1)=x'04' OR length(network)=18 AND substr(network,1,1)=x'06')"
)
_NETWORK = f"typeof(network)='blob' AND {_NETWORK}"
_AT = "typeof(at) IN ('real','integer') AND abs(at)<1e300"
_UNTIL = "(until IS NULL OR typeof(until) IN ('real','integer') AND abs(until)<1e300)"
_COUNTS = " AND ".join(
    f"typeof({name})='integer' AND {name} BETWEEN 0 AND 4294967295" for name in ("failures", "count")
)
_SENSE = {
    "bans": f"{_NETWORK} AND {_AT} AND {_UNTIL} AND {_COUNTS}"
    " AND typeof(jail)='text' AND typeof(reason)='text' AND origin IN ('log','manual','import','cluster')",
    "failures": f"{_NETWORK} AND {_AT} AND typeof(jail)='text' AND typeof(line)='text'",
    "allowed": f"{_NETWORK} AND {_AT} AND {_UNTIL} AND typeof(reason)='text'",
    "good": f"{_NETWORK} AND {_AT} AND typeof(account)='text'",
}


def verdict(db: sqlite3.Connection, path: Path) -> str | None:
    """The first damage that SQLite finds; None if there is none. sqlite3.Error if the check fails."""
    (result,) = db.execute("PRAGMA quick_check(1)").fetchone()
    return None if result == "ok" else f"{path}: {printable(str(result).splitlines()[-1])}"


def nonsense(db: sqlite3.Connection, path: Path) -> str | None:
    """The first table with an invalid row; None if there is none. sqlite3.Error as in `verdict`."""
    for table, sense in _SENSE.items():
        with contextlib.suppress(sqlite3.OperationalError):
            query = f"SELECT 1 FROM {table} NOT INDEXED WHERE NOT ({sense}) LIMIT 1"  # noqa: S608 - only our own names
            if db.execute(query).fetchone():
                return f"{path}: table {table} has an invalid row"
    return None


class Check:
    """A check that begins at once. `verdict` is the damage that was found, None if there is none (yet)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.verdict: str | None = None
        self._thread = threading.Thread(target=self._run, name="check", daemon=True)
        self._thread.start()

    def ended(self, patience: Seconds = 0.0) -> bool:
        """Wait up to `patience` seconds; whether the check has ended."""
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            # A separate connection, so that the service can use its own meanwhile.
            with contextlib.closing(
                sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)
            ) as db:
                self.verdict = verdict(db, self.path) or nonsense(db, self.path)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if is_damage(error):
                self.verdict = f"{self.path}: {printable(str(error))}"
