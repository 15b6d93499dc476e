"""The schema of the database as numbered steps: step n turns a database of version n - 1 into version n."""

from __future__ import annotations

import sqlite3
from importlib import resources
from pathlib import Path

from sidecar.store.errors import DamagedError, LaterError

TABLES = ("bans", "evidence", "history", "failures", "positions", "allowed", "zones", "good", "memos")
# A new version is a new script at the end; released scripts never change. They are read at import, because a
# database in memory must be possible when no more files can be opened.
STEPS = [
    resources.files("sidecar.store").joinpath(name).read_text(encoding="utf-8")
    for name in ("schema.sql", "schema-2.sql")
]
# No zmban ever writes a higher version, so a higher one is damage.
_HIGHEST_PLAUSIBLE = 100


def newest() -> int:
    """The version of a database after all steps."""
    return len(STEPS)


def script(version: int, *, after: int = 0) -> str:
    """SQL that turns a database of version `after` (0: empty) into one of `version`."""
    return "".join(STEPS[after:version])


def version_of(db: sqlite3.Connection, path: Path) -> int:
    """The version of a database, 0 if it is empty. LaterError if a later zmban wrote it, DamagedError if the
    version is implausible."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > _HIGHEST_PLAUSIBLE:
        raise DamagedError(f"{path}: implausible schema version {version}")
    if version > newest():
        raise LaterError(
            f"{path} was written by a later version of zmban; use that version, or move the file aside"
        )
    return version


def migrate(db: sqlite3.Connection, path: Path, version: int) -> None:
    """Apply the steps after `version` in one transaction. DamagedError if the tables do not fit the version;
    the caller then closes the connection, which rolls the transaction back."""
    try:
        db.executescript(f"BEGIN; {script(newest(), after=version)} PRAGMA user_version={newest()}; COMMIT;")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
            raise DamagedError(f"{path}: the tables do not fit schema version {version}") from error
        raise
