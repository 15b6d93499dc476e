"""Collects changes that must survive a restart, and commits them in one transaction within a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar

from sidecar.app.background import BackgroundTasks
from sidecar.app.persist import recovery
from sidecar.app.persist.recovery import Store
from sidecar.model import (
    Ban,
    Batch,
    Event,
    Extended,
    Failure,
    FailuresCleared,
    Match,
    Position,
    Seconds,
    StoreError,
    Unban,
)
from sidecar.store.changes import EvidenceLines, LogGone, lasting
from sidecar.store.database import Change, DamagedError, Database, HistoryEntry
from sidecar.store.repair.salvage import Salvage
from sidecar.store.upkeep.retention import MOST_FILES
from sidecar.threads import completed

_log = logging.getLogger("zmban.store")
# Half of the promised second, because a commit takes time too. The pause grows while the disk is full.
_EVERY_SECONDS = (0.5, 4.0)
# With more waiting changes, reading pauses: the log itself is the buffer.
_MOST_WAITING = 100_000
# How often writing to disk is retried while the database is in memory only.
_RETURN_SECONDS = 2.0

# A log and the number of one of its contents.
Key = tuple[str, int]
Hook: TypeAlias = Callable[[], None]
T = TypeVar("T")
_STORED = {FailuresCleared, Ban, Extended, Unban}


class CommitQueue:
    """Changes in order, and the newest position in each content of each log. One transaction writes both.

    `took` gets the time of each transaction. `failing`: why decisions would not survive the process; None if
    they would. `salvages` still read rows of damaged files.
    """

    def __init__(
        self, store: Store, background: BackgroundTasks, took: Callable[[Seconds], None] = lambda _: None
    ) -> None:
        self._background, self._took = background, took
        self._snapshot: Callable[[], Iterable[Change]] = tuple
        self._changes: list[Change] = []
        self._hooks: list[Hook] = []
        self._positions: dict[Key, Position] = {}
        self._lock = asyncio.Lock()
        self._tried = 0.0
        self._pause: Seconds = _EVERY_SECONDS[0]
        self.salvages: list[Salvage] = []
        self._take(store)
        # The position in each content, the newest last, including positions that are not committed yet.
        self._known: dict[Key, Position] = {}
        for positions in store.database.positions().values():
            self._known.update({(p.path, p.content): p for p in reversed(positions)})

    def snapshot_from(self, snapshot: Callable[[], Iterable[Change]]) -> None:
        """Set the function that returns everything in memory except positions, to be written if the database
        is damaged."""
        self._snapshot = snapshot

    def handle(self, batch: Batch) -> None:
        """Note the changes of a batch. A subscriber of the bus."""
        self.add(filter(_is_stored, batch.events))  # type: ignore[arg-type]  # of _STORED, or a failure

    def after_commit(self, hook: Hook) -> None:
        """Commit soon, and call `hook` afterwards: all changes noted before it are then committed, or their
        commit failed."""
        self._hooks.append(hook)
        self._background.spawn(self.commit())

    def _take(self, store: Store) -> None:
        self.store, self.failing = store, store.failing
        for salvage in store.salvages:
            if salvage.path in {one.path for one in self.salvages}:
                salvage.stop()
            else:
                self.salvages.append(salvage)

    def checked(self) -> None:
        """The check found the database undamaged."""
        self.store = replace(self.store, check=None)

    @property
    def waiting(self) -> int:
        """The number of changes that wait to be committed."""
        return len(self._changes)

    @property
    def behind(self) -> bool:
        """Whether changes wait to be committed."""
        return bool(self._changes)

    @property
    def database(self) -> Database:
        """The database that is in use."""
        return self.store.database

    def add(self, changes: Iterable[Change]) -> None:
        """Note changes; they are committed with the positions noted by then."""
        changes = list(changes)
        self._changes += changes
        for salvage in self.salvages:
            salvage.unfinished.see(changes)

    def reached(self, position: Position) -> None:
        """All lines before this position were processed, and their changes were added."""
        # The position that was written last is the one of the content that was read last.
        for positions in (self._positions, self._known):
            positions.pop((position.path, position.content), None)
            positions[position.path, position.content] = position

    def positions(self) -> dict[str, list[Position]]:
        """The positions by log, the content that was read last first."""
        found: dict[str, list[Position]] = {}
        for (path, _), position in reversed(self._known.items()):
            found.setdefault(path, []).append(position)
        return found

    async def room(self) -> None:
        """Wait until there is room for more changes."""
        while len(self._changes) > _MOST_WAITING:  # noqa: ASYNC110 - no event tells that a disk is free again
            await asyncio.sleep(_EVERY_SECONDS[0])

    async def commit(self) -> str | None:
        """Commit the noted changes. Returns the error, None if there was none. After an error, the changes
        are kept for the next commit."""
        return await completed(self._commit())

    async def _commit(self) -> str | None:
        async with self._lock:
            return await self._write_noted()

    async def _write_noted(self) -> str | None:
        changes, self._changes = self._changes, []
        positions, self._positions = self._positions, {}
        hooks, self._hooks = self._hooks, []
        if changes or positions:
            begun = time.perf_counter()
            try:
                await asyncio.to_thread(_write, self.database, changes, positions.values())
            except DamagedError as error:
                await self._renew(error, changes)
            except StoreError as error:
                self._tell(str(error))
                self._changes = changes + self._changes
                older = {key: one for key, one in positions.items() if key not in self._positions}
                self._positions = older | self._positions
            else:
                self.failing = self.store.failing
            self._took(time.perf_counter() - begun)
        # A file that is still being salvaged must not be replaced by the database in memory.
        may = time.monotonic() - self._tried > _RETURN_SECONDS and all(s.over for s in self.salvages)
        if self.store.failing and may:
            await self._return()
            self._tried = time.monotonic()
        for hook in hooks:
            hook()
        return self.failing

    def _tell(self, failing: str) -> None:
        if self.failing is None:
            _log.error(
                "%s; bans are still enforced, and will be saved when the database works again", failing
            )
        self.failing = failing

    async def _renew(self, error: DamagedError, changes: list[Change]) -> None:
        """Replace a damaged database by everything in memory. Waiting changes are part of that, except for
        imported bans that are only counted."""
        self._tell(str(error))
        waiting = (*changes, *self._changes)
        past = [change for change in waiting if isinstance(change, HistoryEntry | EvidenceLines)]
        lines = [
            EvidenceLines(c.network, c.jail, c.evidence) for c in reversed(waiting) if isinstance(c, Ban)
        ]
        content = [*self._snapshot(), *self._known.values(), *past, *(one for one in lines if one.lines)]
        self._changes, self._positions = [], {}
        damaged = self.database
        await asyncio.to_thread(damaged.close)
        self._take(await asyncio.to_thread(recovery.renewed, damaged.path.parent, content, str(error)))

    async def renew(self, error: DamagedError) -> None:
        """The database was found damaged outside of a commit."""
        await completed(self._renewed(error))

    async def _renewed(self, error: DamagedError) -> None:
        async with self._lock:
            await self._renew(error, [])

    async def _return(self) -> None:
        """Move the database from memory to disk if that works again."""
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

    async def between_commits(self, work: Callable[[Database], T]) -> T:
        """Call `work` in a thread while no commit is running; commits wait for its end. Its StoreError is
        raised; after a DamagedError the database is replaced."""
        return await completed(self._between_commits(work))

    async def _between_commits(self, work: Callable[[Database], T]) -> T:
        async with self._lock:
            try:
                return await asyncio.to_thread(work, self.database)
            except DamagedError as error:
                await self._renew(error, [])
                raise

    async def after_all(self, work: Callable[[Database], None]) -> list[Change | Position]:
        """Commit, and call `work` in a thread before the next commit. Returns what could not be committed."""
        async with self._lock:
            await self._write_noted()
            await asyncio.to_thread(work, self.database)
            return [*self._changes, *self._positions.values()] if self.failing else []

    def drop_old_positions(self) -> None:
        """Forget the oldest positions of each log beyond MOST_FILES."""
        kept: dict[Key, Position] = {}
        files: Counter[str] = Counter()
        for key, position in reversed(self._known.items()):
            files[position.path] += 1
            if files[position.path] <= MOST_FILES:
                kept[key] = position
        self._known = dict(reversed(kept.items()))

    def drop_logs(self, paths: Collection[str]) -> None:
        """Forget the positions and the time zones of these logs, and delete them."""
        for positions in (self._positions, self._known):
            for key in [key for key in positions if key[0] in paths]:
                del positions[key]
        self.add(LogGone(path) for path in paths)

    async def commit_again(self) -> Seconds:
        """Commit; returns the pause until the next commit, which grows while commits fail."""
        failed = await self.commit()
        first, longest = _EVERY_SECONDS
        self._pause = min(self._pause * 2, longest) if failed else first
        return self._pause


def _is_stored(event: Event | Match) -> bool:
    return event.kept if type(event) is Failure else type(event) in _STORED


def _write(database: Database, changes: Sequence[Change], positions: Iterable[Position]) -> None:
    """Runs in a thread."""
    database.write([*lasting(changes), *positions])
