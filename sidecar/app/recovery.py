"""The database in trouble: damaged, gone, not writable. Bans go on, and nothing is thrown away."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.app import announce
from sidecar.app.proof import CANARY
from sidecar.app.threads import to_the_end
from sidecar.kernel.routes import RouteKind
from sidecar.model import Ban, Failure, StoreError
from sidecar.store import damage
from sidecar.store.database import FILE, Change, DamagedError, Database, LaterError, Zone
from sidecar.store.salvage import salvage

if TYPE_CHECKING:
    from sidecar.app.service import Service

_log = logging.getLogger("zmban.store")
# What is made in the place of a damaged file bears this name until it is whole.
_NEW = f"{FILE}.new"
_IMPORT = "import"
_IN_MEMORY = "what is decided is held in memory only, and written as soon as that works"


@dataclass(frozen=True)
class Store:
    """A database to work with. `failing` says why nothing in it will outlive the process, None if it will.

    `lost` says why it may not hold every ban, in words for the bans that the kernel still knows. `unread`
    means that the file could not even be read, so that what lies in memory must not take its place.
    """

    database: Database
    failing: str | None = None
    lost: str | None = None
    unread: bool = False


def opened(state: Path) -> Store:
    """The database of a state directory, whatever its condition. LaterError for one of a later version."""
    try:
        _finish(state)
        database = Database(state)
        try:
            database.check()
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
    return Store(database, lost="there was no database" if database.fresh else None)


def replaced(state: Path, why: DamagedError) -> Store:
    """A new database in the place of one that is damaged, with what can still be read of it."""
    _log.error("%s", why)
    lost = "the database was damaged"
    try:
        with contextlib.closing(_new(state)) as new:
            found = salvage(state / FILE, new)
        return Store(_put_in_place(state, str(found)), lost=lost)
    except (StoreError, OSError) as error:
        memory = Database(state, memory=True)
        found = salvage(state / FILE, memory)
        _log.error("%s; %s; of the damaged database %s", error, _IN_MEMORY, found)
        return Store(memory, _failing(error), lost)


def renewed(state: Path, changes: Iterable[Change], why: str) -> Store:
    """As `replaced`, while running: what memory knows is written; the lines of evidence and the history are
    read from the file."""
    content = list(changes)
    try:
        with contextlib.closing(_new(state)) as new:
            new.write(content)
            found = salvage(state / FILE, new, "evidence", "history")
        return Store(_put_in_place(state, f"all that memory knows is in the new one; of the old {found}"))
    except (StoreError, OSError) as error:
        memory = Database(state, memory=True)
        memory.write(content)
        salvage(state / FILE, memory, "evidence", "history")
        return Store(memory, f"{why}; {_failing(error)}")


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
        disk = _put_in_place(state, "everything, from memory")
    _log.warning("%s: everything that was decided is written down again", disk.path)
    return Store(disk)


def _may_be_replaced(disk: Database, store: Store) -> None:
    if store.unread and not disk.fresh:
        raise UnreadError(f"{disk.path} can be used again; zmban starts anew with it")


class UnreadError(StoreError):
    """The file that could not be read when the service started can be read now: it must start anew."""


def _in_memory(state: Path, why: str) -> Store:
    memory = Database(state, memory=True)
    failing = f"{why}; {_IN_MEMORY}"
    _log.error("%s", failing)
    if not (state / FILE).exists():
        return Store(memory, failing, "there was no database")
    found = salvage(state / FILE, memory)
    if "all" in found.broken:
        _log.error("nothing of it can be read: %s", found.broken["all"])
        return Store(memory, failing, "the database could not be read", unread=True)
    return Store(memory, failing, "the database was damaged" if found.broken else None)


def _failing(error: Exception) -> str:
    return f"{getattr(error, 'strerror', None) or error}; {_IN_MEMORY}"


def _new(state: Path) -> Database:
    for suffix in ("", "-wal", "-shm", "-journal"):
        (state / f"{_NEW}{suffix}").unlink(missing_ok=True)
    return Database(state, name=_NEW)


def _put_in_place(state: Path, found: str) -> Database:
    """The new file under the name of the damaged one, which is set aside."""
    aside = damage.set_aside(state / FILE, time.time())
    (state / _NEW).rename(state / FILE)
    if aside.exists():
        _log.error("the damaged database was set aside as %s: look at the disk, then remove it", aside)
    _log.error("a new database was begun; %s", found)
    return Database(state)


def _finish(state: Path) -> None:
    """A kill between the two names that `_put_in_place` gives: the new file was whole by then."""
    if (state / _NEW).exists() and not (state / FILE).exists():
        damage.set_aside(state / FILE, time.time())
        (state / _NEW).rename(state / FILE)


def state_of(service: Service) -> str:
    """What a person should know of the database: `good`, or what is wrong with it."""
    aside = damage.aside(service.place.state / FILE)
    if service.ledger.failing is None and aside:
        return f"good; a damaged one was set aside as {aside[-1]}"
    return service.ledger.failing or "good"


def watch(service: Service) -> None:
    """Let the metrics say at each reading how the database does."""
    gauge, path = service.metrics.store_failing, service.place.state / FILE
    gauge.labels("unwritten").set_function(lambda: float(service.ledger.failing is not None))
    gauge.labels("set-aside").set_function(lambda: float(len(damage.aside(path))))


def snapshot(service: Service) -> Iterator[Change]:
    """All that memory knows and the database should hold; to be taken in one go."""
    yield from service.allowed.values()
    yield from service.table
    for name, court in service.judge.courts.items():
        for network, at, line in court.window.failures():
            yield Failure(name, network, at, line)
    yield from service.goods.all()
    for path, log in service.logs.logs.items():
        if log.clock is not None and log.clock.learnt is not None:
            yield Zone(path, log.clock.learnt)


async def adopt(service: Service, why: str) -> None:
    """Take back the bans that only the kernel still knows, as long as the longest of the jails."""
    known = {ban.network for ban in service.ledger.database.standing()}
    present = await to_the_end(service.enforcer.present)
    times = [jail.bantime for jail in service.jails.values()]
    now = time.time()
    until = None if None in times else now + max(time for time in times if time is not None)
    reason = f"taken back from the kernel: {why}"
    bans = [
        Ban(network, _IMPORT, now, until, "import", reason)
        for network, kind in present.items()
        if kind is RouteKind.BLACKHOLE and network != CANARY and network not in known
        if network not in service.enforcer.throws and service.judge.guard.refuse(network) is None
    ]
    if not bans:
        return
    _log.error("%s: %d bans are taken back from the kernel; zmban unban lifts one of them", why, len(bans))
    events = [event for event in map(service.table.ban, bans) if event is not None]
    # Their routes stand: nothing is written into the kernel, which would open them for a moment.
    service.metrics.observe(events)
    service.ledger.add(events)
    announce.tell(events)
