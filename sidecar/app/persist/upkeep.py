"""Keeps the database small while the service runs, and backs it up. Only a compaction delays commits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.model import Seconds, StoreError
from sidecar.serve.metrics import Metrics
from sidecar.store.upkeep import retention, space
from sidecar.store.upkeep.online_copy import OnlineCopy
from sidecar.store.upkeep.retention import Limits
from sidecar.threads import completed, run_detached

_log = logging.getLogger("zmban.store")
# Searches per run: more overdue rows are deleted in the next one.
_MOST_SEARCHES = 100
# Pause between two slices of work, for the disk and for commits.
_PAUSE: Seconds = 0.01
# An automatic compaction must save an eighth, and ends unfinished after this time. Commits wait for it.
_WORTH = 8 / 7
_LONGEST: Seconds = 2.0
_NEXT_TRY: Seconds = 86400.0
_LEAST_BYTES = 1 << 20


class DatabaseUpkeep:
    """`failing`: why the last run failed; `compacting`: whether commits wait for a compaction."""

    def __init__(self, commit_queue: CommitQueue, metrics: Metrics) -> None:
        self._commit_queue, self._metrics = commit_queue, metrics
        self.failing: str | None = None
        self.compacting = False
        # One at a time: a compaction changes the row numbers that a search found.
        self._turn, self._backup_turn = asyncio.Lock(), asyncio.Lock()
        # Unused part of the pages after the last compaction, which the next one will not reduce either.
        self._waste_left = 0.0
        self._not_before = 0.0

    async def prune(self, limits: Limits) -> None:
        """Delete the rows that are not needed, and give the space back to the disk. A failure is logged, and
        the next run tries again."""
        try:
            async with self._turn:
                await self._delete(limits)
                await self._give_back()
                await run_detached(space.shorten_log, self._commit_queue.database)
                await self._compact_if_worth()
            rows = await run_detached(retention.history_rows, self._commit_queue.database)
        except StoreError as error:
            _log.warning("upkeep of the database: %s; trying again in some minutes", error)
            self.failing = str(error)
        else:
            self.failing = None
            self._metrics.history_rows.set(rows)

    async def _delete(self, limits: Limits) -> None:
        queue = self._commit_queue
        for _ in range(_MOST_SEARCHES):
            found = await run_detached(retention.overdue, queue.database, limits)
            for some in retention.slices(found):
                await queue.between_commits(partial(retention.delete, some=some))
                await asyncio.sleep(_PAUSE)
            if not found:
                break
        await queue.between_commits(retention.delete_old_positions)
        queue.drop_old_positions()

    async def _give_back(self) -> None:
        more = True
        while more:
            more = await self._commit_queue.between_commits(space.give_back)
            await asyncio.sleep(_PAUSE)

    async def _compact_if_worth(self) -> None:
        queue = self._commit_queue
        database = queue.database
        healthy = not (queue.failing or queue.salvages or queue.store.check)
        if not healthy or database.bytes() < _LEAST_BYTES or time.monotonic() < self._not_before:
            return
        waste = await run_detached(space.waste, database)
        if (1 - self._waste_left) < _WORTH * (1 - waste) or not space.has_room_to_compact(database):
            return
        try:
            await self._compact(_LONGEST)
        except space.InterruptedCompactionError:
            self._not_before = time.monotonic() + _NEXT_TRY
            text = "compaction would take more than %g s, and was not done; zmban compact does it"
            _log.warning(text, _LONGEST)

    async def compact(self) -> dict[str, Any]:
        """Rebuild the database without unused space. Bans reach the kernel meanwhile, and are committed
        afterwards. StoreError if that is not possible."""
        async with self._turn:
            begun, before = time.monotonic(), self._commit_queue.database.bytes()
            await self._compact()
            after = self._commit_queue.database.bytes()
        _log.info("database compacted: %d bytes before, %d after", before, after)
        return {"before": before, "after": after, "seconds": round(time.monotonic() - begun, 3)}

    async def _compact(self, longest: Seconds = float("inf")) -> None:
        stopped, queue = threading.Event(), self._commit_queue
        work = queue.between_commits(lambda database: space.compact(database, stopped.is_set, longest))
        self.compacting = True
        try:
            await completed(work, stopped.set)
        finally:
            self.compacting = False
        self._waste_left = await run_detached(space.waste, queue.database)

    async def backup(self, target: Path, *, force: bool) -> dict[str, Any]:
        """Commit, and copy the state of this moment into a file. Commits go on during the copy, unless the
        database is in memory only. StoreError if there is no complete copy."""
        async with self._backup_turn:
            begun, queue = time.monotonic(), self._commit_queue
            copy = await run_detached(OnlineCopy, queue.database.path, target, force=force)
            begin = queue.after_all(lambda database: copy.begin(database if database.memory else None))
            waiting = await completed(begin, copy.stop)
            written = await completed(run_detached(copy.complete, waiting), copy.stop)
            # The next run of the upkeep does it otherwise.
            with contextlib.suppress(StoreError):
                await run_detached(space.shorten_log, queue.database)
            seconds = round(time.monotonic() - begun, 3)
            return {"file": str(target), **written, "seconds": seconds, "warnings": self._doubts()}

    def _doubts(self) -> list[str]:
        """What the state in memory and in the database may lack, and so a backup of it."""
        queue, found = self._commit_queue, []
        if queue.failing:
            found.append(f"the service cannot save its decisions ({queue.failing}); the backup contains them")
        if queue.store.unread:
            found.append(
                "the database could not be read: the backup contains only what is known since the start"
            )
        if queue.salvages:
            found.append("a damaged database is still being read: the backup lacks what is not read yet")
        return found
