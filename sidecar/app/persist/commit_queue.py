"""Collects what must outlive a restart and commits it together, at most a second late."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from sidecar.app.persist import recovery
from sidecar.app.persist.recovery import Store
from sidecar.model import Ban, Instant, Position, StoreError
from sidecar.store.changes import EvidenceLines
from sidecar.store.database import MOST_FILES, Change, DamagedError, Database, Past
from sidecar.store.repair.salvage import Salvage

_log = logging.getLogger("zmban.store")
# Half of the second that is promised: a commit takes its time too. On a full disk ever less often.
_EVERY_SECONDS = (0.5, 4.0)
# With more than this waiting, no more is read: the log itself is the buffer.
_MOST_WAITING = 100_000
# How often it is tried to write down what lies in memory only.
_RETURN_SECONDS = 2.0

# A log, and the number of one of its contents.
Key = tuple[str, int]
T = TypeVar("T")


class CommitQueue:
    """Changes in order, and the newest position in each file of each log; one transaction takes both.

    `snapshot` gives all that memory knows, but for the positions: what is written where the database is
    damaged. `failing` says why what is decided would not outlive the process, None where it would. What
    `salvages` find of damaged files is still to be taken over.
    """

    def __init__(self, store: Store, snapshot: Callable[[], Iterable[Change]] = tuple) -> None:
        self._snapshot = snapshot
        self._changes: list[Change] = []
        self._positions: dict[Key, Position] = {}
        self._lock = asyncio.Lock()
        self._tried = 0.0
        self.salvages: list[Salvage] = []
        self.begin(store)

    def begin(self, store: Store) -> None:
        """Work with this database from now on."""
        self._take(store)
        # Of each file where its reading is, the newest last; what is not written yet is among it.
        self._known: dict[Key, Position] = {}
        for positions in store.database.positions().values():
            self._known.update({(p.path, p.content): p for p in reversed(positions)})

    def _take(self, store: Store) -> None:
        self.store, self.failing = store, store.failing
        for salvage in store.salvages:
            if salvage.path in {one.path for one in self.salvages}:
                salvage.stop()
            else:
                self.salvages.append(salvage)

    def checked(self) -> None:
        """Every page of it was found to be whole."""
        self.store = replace(self.store, check=None)

    @property
    def behind(self) -> bool:
        """Whether something that was noted waits to be written."""
        return bool(self._changes)

    @property
    def database(self) -> Database:
        """The one that is written to now."""
        return self.store.database

    def add(self, changes: Iterable[Change]) -> None:
        """Note changes; they are committed with the positions noted by then."""
        changes = list(changes)
        self._changes += changes
        for salvage in self.salvages:
            salvage.unfinished.see(changes)

    def reached(self, position: Position) -> None:
        """Everything before this position of a content has been judged, and its changes were added."""
        # The last one that is written is the one that was read last.
        for positions in (self._positions, self._known):
            positions.pop((position.path, position.content), None)
            positions[position.path, position.content] = position

    def positions(self) -> dict[str, list[Position]]:
        """How far each content of each log was read, of each log the one that was read last first."""
        found: dict[str, list[Position]] = {}
        for (path, _), position in reversed(self._known.items()):
            found.setdefault(path, []).append(position)
        return found

    async def room(self) -> None:
        """Wait until there is room for more changes."""
        while len(self._changes) > _MOST_WAITING:  # noqa: ASYNC110 - no event tells that a disk is free again
            await asyncio.sleep(_EVERY_SECONDS[0])

    async def commit(self) -> str | None:
        """Write what was noted; the error if that failed. What was not written is kept for the next time."""
        return await _whole(self._commit())

    async def _commit(self) -> str | None:
        async with self._lock:
            changes, self._changes = self._changes, []
            positions, self._positions = self._positions, {}
            if changes or positions:
                try:
                    await asyncio.to_thread(self.database.write, [*changes, *positions.values()])
                except DamagedError as error:
                    await self._renew(error, changes)
                except StoreError as error:
                    self._tell(str(error))
                    self._changes = changes + self._changes
                    older = {key: one for key, one in positions.items() if key not in self._positions}
                    self._positions = older | self._positions
                else:
                    self.failing = self.store.failing
            # What is still being read lies in the very file that memory would be written to.
            may = time.monotonic() - self._tried > _RETURN_SECONDS and all(s.over for s in self.salvages)
            if self.store.failing and may:
                await self._return()
                self._tried = time.monotonic()
            return self.failing

    def _tell(self, failing: str) -> None:
        if self.failing is None:
            _log.error("%s; bans go on, and are written as soon as it works again", failing)
        self.failing = failing

    async def _renew(self, error: DamagedError, changes: list[Change]) -> None:
        """The database is damaged: one with all that memory knows takes its place. What waits is part of
        that, but for bans of elsewhere that are only counted."""
        self._tell(str(error))
        waiting = (*changes, *self._changes)
        past = [change for change in waiting if isinstance(change, Past | EvidenceLines)]
        lines = [
            EvidenceLines(c.network, c.jail, c.evidence) for c in reversed(waiting) if isinstance(c, Ban)
        ]
        content = [*self._snapshot(), *self._known.values(), *past, *(one for one in lines if one.lines)]
        self._changes, self._positions = [], {}
        damaged = self.database
        await asyncio.to_thread(damaged.close)
        self._take(await asyncio.to_thread(recovery.renewed, damaged.path.parent, content, str(error)))

    async def renew(self, error: DamagedError) -> None:
        """The database was found to be damaged otherwise than by a commit."""
        await _whole(self._renewed(error))

    async def _renewed(self, error: DamagedError) -> None:
        async with self._lock:
            await self._renew(error, [])

    async def _return(self) -> None:
        """What lies in memory goes to disk as soon as that takes it."""
        memory = self.store
        try:
            self.store = await asyncio.to_thread(recovery.returned, self.database.path.parent, memory)
        except recovery.UnreadError:
            raise
        except (StoreError, OSError) as error:
            _log.debug("%s", error)
            return
        self.failing = None
        memory.database.close()

    async def prune(self, oldest: dict[str, Instant]) -> None:
        """Drop failures that no longer count, in the database too; what fails is tried at the next time."""
        await _whole(self._prune(oldest))

    async def _prune(self, oldest: dict[str, Instant]) -> None:
        async with self._lock:
            try:
                await asyncio.to_thread(self.database.prune, oldest)
            except DamagedError as error:
                await self._renew(error, [])
            except StoreError as error:
                _log.warning("%s", error)
                return
        kept: dict[Key, Position] = {}
        files: Counter[str] = Counter()
        for key, position in reversed(self._known.items()):
            files[position.path] += 1
            if files[position.path] <= MOST_FILES:
                kept[key] = position
        self._known = dict(reversed(kept.items()))

    async def run(self) -> None:
        """Commit again and again until cancelled."""
        pause, longest = _EVERY_SECONDS
        while True:
            await asyncio.sleep(pause)
            failed = await self.commit()
            pause = min(pause * 2, longest) if failed else _EVERY_SECONDS[0]


async def _whole(work: Coroutine[Any, Any, T]) -> T:
    """Await it; a cancellation waits for its end, so that it is known what was written."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
