"""Opens the database, and recovers if it is damaged, missing or not writable. Bans stay enforced, and no data
is deleted."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from sidecar.model import Seconds, StoreError
from sidecar.store import migrations, storage
from sidecar.store.database import FILE, Change, DamagedError, Database, LaterError
from sidecar.store.repair import damage, unfinished, version_copy
from sidecar.store.repair.page_check import Check
from sidecar.store.repair.salvage import Salvage

_log = logging.getLogger("zmban.store")
# A file that replaces a damaged one has this name until it is complete.
_NEW = f"{FILE}.new"
_IN_MEMORY = "decisions are held in memory only until the database can be written"
# Maximum time that a start waits for the salvage or the check of a database. The rest runs in the background.
_PATIENCE: Seconds = 1.0
_CHECK_PATIENCE: Seconds = 2.5
# Tables that are not in memory.
_NOT_IN_MEMORY = ("history", "evidence")


@dataclass(frozen=True)
class Store:
    """An open database. `failing`: why its content will not survive the process; None if it will.

    `lost`: why it may lack bans that the kernel still has routes for. `unread`: the file could not even be
    read, so it must not be replaced by the content of memory. `salvages` still find rows that belong into it;
    `check` may still find it damaged.
    """

    database: Database
    failing: str | None = None
    lost: str | None = None
    unread: bool = False
    salvages: tuple[Salvage, ...] = ()
    check: Check | None = None


def opened(state: Path) -> Store:
    """Open the database of a state directory, whatever its condition. LaterError if it is of a later version
    and there is no copy from before the upgrade."""
    try:
        _finish(state)
        database = Database(state)
        try:
            check = database.check(_CHECK_PATIENCE)
            # Read small tables to detect damage; bans and failures are read by the caller.
            database.positions(), database.zones(), database.allowed()
        except BaseException:
            database.close()
            raise
    except LaterError as error:
        return _rolled_back(state, error)
    except DamagedError as error:
        return replaced(state, error)
    except (StoreError, OSError) as error:
        return _in_memory(state, str(error))
    lost = "there was no database" if database.fresh else None
    return Store(database, lost=lost, salvages=_begun(state), check=check)


def _rolled_back(state: Path, why: LaterError) -> Store:
    """Return to the copy from before the upgrade. Bans that it lacks are adopted from their routes, and the
    logs are read on from its positions."""
    try:
        later = version_copy.put_back(state / FILE, migrations.newest(), state / _NEW)
    except (OSError, sqlite3.Error) as error:
        raise LaterError(f"{why}; the copy from before the upgrade cannot be used: {error}") from error
    if later is None:
        raise why
    _log.warning("%s", later)
    return replace(opened(state), lost="zmban returned to an earlier version")


def _begun(state: Path) -> tuple[Salvage, ...]:
    """Continue the salvages that an earlier run did not finish."""
    found = []
    for file in unfinished.of(state / FILE):
        salvage = Salvage(file)
        salvage.unfinished.begin(file)
        salvage.begin()
        _log.warning("salvage of %s continues", file)
        found.append(salvage)
    return tuple(found)


def replaced(state: Path, why: DamagedError) -> Store:
    """Replace a damaged database by a new one with the rows that can be read in a short time."""
    _log.error("%s", why)
    lost = "the database was damaged"
    begun = _begun(state)
    salvage = Salvage(state / FILE)
    content = salvage.first(_PATIENCE)
    try:
        with contextlib.closing(_new(state)) as new:
            new.write(content)
        return Store(_put_in_place(state, salvage), lost=lost, salvages=(*begun, salvage))
    except (StoreError, OSError) as error:
        memory = Database(state, memory=True)
        memory.write(content)
        _log.error("%s; %s; salvage of the damaged database: %s", error, _IN_MEMORY, salvage.found)
        return Store(memory, _failing(error), lost, salvages=(*begun, salvage))


def renewed(state: Path, changes: Iterable[Change], why: str) -> Store:
    """As `replaced`, for the running service: everything in memory is written; evidence and history are
    salvaged from the file in the background."""
    content = list(changes)
    try:
        with contextlib.closing(_new(state)) as new:
            new.write(content)
        aside = _set_aside(state, unread=True)
        (state / _NEW).rename(state / FILE)
        _log.error("a new database was created from the state in memory")
        store = Store(Database(state))
    except (StoreError, OSError) as error:
        memory, aside = Database(state, memory=True), state / FILE
        memory.write(content)
        store = Store(memory, f"{why}; {_failing(error)}")
    if not storage.size(aside):
        return store
    salvage = Salvage(aside, _NOT_IN_MEMORY)
    if not store.failing:
        salvage.moved(aside)
    salvage.begin()
    return replace(store, salvages=(salvage,))


def returned(state: Path, store: Store) -> Store:
    """Write the database in memory to disk. StoreError or OSError if that is not possible yet."""
    _finish(state)
    try:
        disk = Database(state, patience=0.2)
        try:
            disk.check()
            _may_be_replaced(disk, store)
            store.database.copy_to(disk)
        except BaseException:
            disk.close()
            raise
    except DamagedError as error:
        _log.error("%s", error)
        with contextlib.closing(_new(state)) as new:
            store.database.copy_to(new)
        disk = _put_in_place(state)
    _log.warning("%s: all decisions are saved again", disk.path)
    return Store(disk)


def _may_be_replaced(disk: Database, store: Store) -> None:
    if disk.fresh:
        return
    if store.unread:
        raise UnreadError(f"{disk.path} can be read again; zmban restarts to use it")
    if any(salvage.path == disk.path and salvage.found.broken for salvage in store.salvages):
        raise DamagedError(f"{disk.path} could not be read completely")


class UnreadError(StoreError):
    """The file that could not be read at the start can be read now: the service must restart."""


def _in_memory(state: Path, why: str) -> Store:
    memory = Database(state, memory=True)
    failing = f"{why}; {_IN_MEMORY}"
    _log.error("%s", failing)
    with contextlib.suppress(OSError):
        # If that cannot be determined, there may be a file.
        if storage.inode(state / FILE) is None:
            return Store(memory, failing, "there was no database")
    salvage = Salvage(state / FILE)
    memory.write(salvage.first(_PATIENCE))
    if "all" in salvage.found.broken:
        _log.error("nothing in the damaged database can be read: %s", salvage.found.broken["all"])
        return Store(memory, failing, "the database could not be read", unread=True)
    lost = "the database was damaged" if salvage.found.broken or not salvage.over else None
    return Store(memory, failing, lost, salvages=(salvage,))


def _failing(error: Exception) -> str:
    return f"{getattr(error, 'strerror', None) or error}; {_IN_MEMORY}"


def _new(state: Path) -> Database:
    for suffix in ("", "-wal", "-shm", "-journal"):
        (state / f"{_NEW}{suffix}").unlink(missing_ok=True)
    return Database(state, name=_NEW)


def _set_aside(state: Path, *, unread: bool) -> Path:
    """Rename the damaged file. Returns its new name; `unread` if a restart must continue to read it."""
    aside = damage.set_aside(state / FILE, time.time(), unread=unread)
    if aside.exists():
        _log.error("the damaged database was set aside as %s; check the disk, then delete this file", aside)
    return aside


def _put_in_place(state: Path, salvage: Salvage | None = None) -> Database:
    """Set the damaged file aside, and put the new file in its place. The damaged file is read further if
    necessary."""
    unread = salvage is not None and not salvage.over
    aside = _set_aside(state, unread=unread)
    if salvage is not None and unread:
        salvage.moved(aside)
    (state / _NEW).rename(state / FILE)
    _log.error("a new database was created; %s", salvage.found if salvage else "everything, from memory")
    if unread:
        _log.error("the rest of %s is salvaged in the background; zmban status shows the progress", aside)
    return Database(state)


def _finish(state: Path) -> None:
    """Complete a `_put_in_place` that was interrupted between its two renames: the new file was complete
    then."""
    if (state / _NEW).exists() and not (state / FILE).exists():
        damage.set_aside(state / FILE, time.time())
        (state / _NEW).rename(state / FILE)
