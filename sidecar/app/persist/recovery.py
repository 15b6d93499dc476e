"""The database in trouble: damaged, gone, not writable. Bans go on, and nothing is thrown away."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from sidecar.model import Seconds, StoreError
from sidecar.store import damage
from sidecar.store.database import FILE, Change, DamagedError, Database, LaterError
from sidecar.store.page_check import Check
from sidecar.store.repair import unfinished
from sidecar.store.repair.salvage import Salvage

_log = logging.getLogger("zmban.store")
# What is made in the place of a damaged file bears this name until it is whole.
_NEW = f"{FILE}.new"
_IN_MEMORY = "what is decided is held in memory only, and written as soon as that works"
# A start waits no longer for the reading of a damaged file, nor for the check of one that seems good: what is
# left is done beside.
_PATIENCE: Seconds = 1.0
_CHECK_PATIENCE: Seconds = 2.5
# Of what only a ban's own file tells, while memory knows the rest.
_NOT_IN_MEMORY = ("history", "evidence")


@dataclass(frozen=True)
class Store:
    """A database to work with. `failing` says why nothing in it will outlive the process, None if it will.

    `lost` says why it may not hold every ban, in words for the bans that the kernel still knows. `unread`
    means that the file could not even be read, so that what lies in memory must not take its place. What
    `salvages` still find belongs into it; `check` may still find it damaged.
    """

    database: Database
    failing: str | None = None
    lost: str | None = None
    unread: bool = False
    salvages: tuple[Salvage, ...] = ()
    check: Check | None = None


def opened(state: Path) -> Store:
    """The database of a state directory, whatever its condition. LaterError for one of a later version."""
    try:
        _finish(state)
        database = Database(state)
        try:
            check = database.check(_CHECK_PATIENCE)
            # Small tables, read whole; bans and failures are by who restores them.
            database.positions(), database.zones(), database.allowed()
        except BaseException:
            database.close()
            raise
    except LaterError:
        raise
    except DamagedError as error:
        return replaced(state, error)
    except (StoreError, OSError) as error:
        return _in_memory(state, str(error))
    lost = "there was no database" if database.fresh else None
    return Store(database, lost=lost, salvages=_begun(state), check=check)


def _begun(state: Path) -> tuple[Salvage, ...]:
    """What an earlier run did not read to its end."""
    found = []
    for file in unfinished.of(state / FILE):
        salvage = Salvage(file)
        salvage.unfinished.begin(file)
        salvage.begin()
        _log.warning("%s is read on beside", file)
        found.append(salvage)
    return tuple(found)


def replaced(state: Path, why: DamagedError) -> Store:
    """A new database in the place of one that is damaged, with what can be read of that in little time."""
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
        _log.error("%s; %s; of the damaged database %s", error, _IN_MEMORY, salvage.found)
        return Store(memory, _failing(error), lost, salvages=(*begun, salvage))


def renewed(state: Path, changes: Iterable[Change], why: str) -> Store:
    """As `replaced`, while running: what memory knows is written; the lines of evidence and the history are
    read from the file, beside."""
    content = list(changes)
    try:
        with contextlib.closing(_new(state)) as new:
            new.write(content)
        aside = _set_aside(state, unread=True)
        (state / _NEW).rename(state / FILE)
        _log.error("a new database was begun with all that memory knows")
        store = Store(Database(state))
    except (StoreError, OSError) as error:
        memory, aside = Database(state, memory=True), state / FILE
        memory.write(content)
        store = Store(memory, f"{why}; {_failing(error)}")
    if not damage.size(aside):
        return store
    salvage = Salvage(aside, _NOT_IN_MEMORY)
    if not store.failing:
        salvage.moved(aside)
    salvage.begin()
    return replace(store, salvages=(salvage,))


def returned(state: Path, store: Store) -> Store:
    """What lies in memory, on disk. StoreError or OSError where that cannot be done yet."""
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
    _log.warning("%s: everything that was decided is written down again", disk.path)
    return Store(disk)


def _may_be_replaced(disk: Database, store: Store) -> None:
    if disk.fresh:
        return
    if store.unread:
        raise UnreadError(f"{disk.path} can be used again; zmban starts anew with it")
    if any(salvage.path == disk.path and salvage.found.broken for salvage in store.salvages):
        raise DamagedError(f"{disk.path}: not all of it could be read")


class UnreadError(StoreError):
    """The file that could not be read when the service started can be read now: it must start anew."""


def _in_memory(state: Path, why: str) -> Store:
    memory = Database(state, memory=True)
    failing = f"{why}; {_IN_MEMORY}"
    _log.error("%s", failing)
    with contextlib.suppress(OSError):
        # Where even that cannot be told, something may be there.
        if damage.inode(state / FILE) is None:
            return Store(memory, failing, "there was no database")
    salvage = Salvage(state / FILE)
    memory.write(salvage.first(_PATIENCE))
    if "all" in salvage.found.broken:
        _log.error("nothing of it can be read: %s", salvage.found.broken["all"])
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
    """The new name of the damaged file; `unread` where a restart must go on reading it."""
    aside = damage.set_aside(state / FILE, time.time(), unread=unread)
    if aside.exists():
        _log.error("the damaged database was set aside as %s: look at the disk, then remove it", aside)
    return aside


def _put_in_place(state: Path, salvage: Salvage | None = None) -> Database:
    """The new file under the name of the damaged one, which is set aside, and read on if it must be."""
    unread = salvage is not None and not salvage.over
    aside = _set_aside(state, unread=unread)
    if salvage is not None and unread:
        salvage.moved(aside)
    (state / _NEW).rename(state / FILE)
    _log.error("a new database was begun; %s", salvage.found if salvage else "everything, from memory")
    if unread:
        _log.error("the rest of %s is read beside; zmban status tells how far", aside)
    return Database(state)


def _finish(state: Path) -> None:
    """A kill between the two names that `_put_in_place` gives: the new file was whole by then."""
    if (state / _NEW).exists() and not (state / FILE).exists():
        damage.set_aside(state / FILE, time.time())
        (state / _NEW).rename(state / FILE)
