"""Copies of the database as it was before a migration, to which a rollback to an earlier zmban returns."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from sidecar.model import Instant, counted
from sidecar.store.repair import wal

_WAL, _SHM = wal.SUFFIX, "-shm"
_NAME = re.compile(r"\.v(\d+)(?:-\d{8}T\d{6}Z(?:-\d+)?)?")


@dataclass(frozen=True)
class Later:
    """A database of a later version that was set aside. Of what was decided since `since`, this zmban knows
    only what logs and routes tell again; `bans` are the bans of that time, None if they cannot be counted."""

    path: Path
    version: int
    since: Instant
    bans: int | None

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.since))
        bans = "the bans" if self.bans is None else counted(self.bans, "ban")
        return (
            f"the database of a later version was set aside as {self.path}, the copy from before the upgrade "
            f"is used: {bans} and all other decisions since {since} are known only from logs and routes"
        )


def copy_of(path: Path, version: int) -> Path:
    """Where the copy of a database of this version lies."""
    return path.with_name(f"{path.name}.v{version}")


def keep(db: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copy a database of this version before it is migrated, in place of an older copy of the same version.
    Returns the copy. OSError or sqlite3.Error on failure: there is no new copy then, and must be no
    migration, which needs the same room."""
    target = copy_of(path, version)
    new = target.with_name(f"{target.name}.new")
    new.unlink(missing_ok=True)
    try:
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as copy:
            copy.executescript("PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF")
            db.backup(copy)
        _to_disk(new)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)
    return target


def newest_copy(path: Path, version: int) -> Path | None:
    """The copy of the highest version up to this one; None if there is none."""
    found = (copy_of(path, number) for number in range(version, 0, -1))
    return next((copy for copy in found if copy.is_file()), None)


def put_back(path: Path, version: int, new: Path) -> Later | None:
    """Set a database of a later version aside, and put the copy of at most this `version` in its place. None
    if there is no copy: then nothing is changed. OSError or sqlite3.Error on failure.

    `new` is the name of the copy until it is complete; `recovery.opened` completes an interrupted exchange.
    The copy itself stays, for a second rollback.
    """
    copy = newest_copy(path, version)
    if copy is None:
        return None
    since = copy.stat().st_mtime
    # Closing the last connection writes the whole log into the file, so that one file is all of it.
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        (later,) = db.execute("PRAGMA user_version").fetchone()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    shutil.copyfile(copy, new)
    new.chmod(0o600)
    _to_disk(new)
    aside = _free(path, int(later))
    path.rename(aside)
    # A log left under its name would be applied to the next database.
    with contextlib.suppress(FileNotFoundError):
        path.with_name(path.name + _WAL).rename(aside.with_name(aside.name + _WAL))
    path.with_name(path.name + _SHM).unlink(missing_ok=True)
    os.utime(aside, (since, since))
    new.rename(path)
    return Later(aside, int(later), since, _bans_since(aside, since))


def set_aside(path: Path, version: int) -> list[Later]:
    """The databases of versions later than `version` that a rollback set aside, oldest first."""
    found = []
    with contextlib.suppress(OSError):
        for file in path.parent.glob(f"{path.name}.v*"):
            named = _NAME.fullmatch(file.name.removeprefix(path.name))
            if named and int(named[1]) > version:
                since = file.stat().st_mtime
                found.append(Later(file, int(named[1]), since, _bans_since(file, since)))
    return sorted(found, key=lambda later: later.since)


@functools.lru_cache(maxsize=8)
def _bans_since(path: Path, since: Instant) -> int | None:
    """How many bans the database has that began since then, None if a later schema does not tell. The file is
    never written again, so that it is read once."""
    with contextlib.suppress(sqlite3.Error, ValueError):
        uri = f"{path.absolute().as_uri()}?immutable=1"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
            (bans,) = db.execute("SELECT COUNT(*) FROM bans WHERE at>=?", (since,)).fetchone()
            return int(bans)
    return None


def _free(path: Path, version: int) -> Path:
    """A name for the later database; with the time if an earlier rollback left one."""
    plain = copy_of(path, version)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    names = (f"{plain.name}{more}" for more in ("", f"-{stamp}", *(f"-{stamp}-{n}" for n in range(2, 100))))
    return next(name for name in map(path.with_name, names) if not name.exists())


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
