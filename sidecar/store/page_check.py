"""Reads every page of a database in a thread of its own: SQLite cannot be asked to come back in time."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

from sidecar.model import Seconds
from sidecar.store.errors import is_damage, printable

# A page may be sound, and what stands on it not: such rows would break whoever reads them at a start.
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
    """What is wrong with the first page that is damaged; None where none is. sqlite3.Error where that cannot
    be told."""
    (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
    return None if said == "ok" else f"{path}: {printable(str(said).splitlines()[-1])}"


def nonsense(db: sqlite3.Connection, path: Path) -> str | None:
    """Which table has a row that makes no sense; None where none has. sqlite3.Error as for `verdict`."""
    for table, sense in _SENSE.items():
        with contextlib.suppress(sqlite3.OperationalError):
            query = f"SELECT 1 FROM {table} NOT INDEXED WHERE NOT ({sense}) LIMIT 1"  # noqa: S608 - only our own names
            if db.execute(query).fetchone():
                return f"{path}: a row of {table} makes no sense"
    return None


class Check:
    """Begins at once. `verdict` says what is wrong, None where nothing was found (yet)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.verdict: str | None = None
        self._thread = threading.Thread(target=self._run, name="check", daemon=True)
        self._thread.start()

    def ended(self, patience: Seconds = 0.0) -> bool:
        """Whether it has, within so many seconds."""
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            # A connection of its own: the other one works on meanwhile.
            with contextlib.closing(
                sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)
            ) as db:
                self.verdict = verdict(db, self.path) or nonsense(db, self.path)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if is_damage(error):
                self.verdict = f"{self.path}: {printable(str(error))}"
