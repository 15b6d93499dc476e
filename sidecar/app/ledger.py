"""Collects what must outlive a restart and commits it together, at most a second late."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from sidecar.app.threads import to_the_end
from sidecar.model import Instant, Position, StoreError
from sidecar.store.database import Change, Database

_log = logging.getLogger("zmban.store")
# Half of the second that is promised: a commit takes its time too. On a full disk ever less often.
_EVERY_SECONDS = (0.5, 10.0)
# With more than this waiting, no more is read: the log itself is the buffer.
_MOST_WAITING = 100_000


class Ledger:
    """Changes in order, and the newest position in each file of each log; one transaction takes both."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.failing: str | None = None
        self._changes: list[Change] = []
        self._positions: dict[tuple[str, int], Position] = {}
        self._lock = asyncio.Lock()

    def add(self, changes: Iterable[Change]) -> None:
        """Note changes; they are committed with the positions noted by then."""
        self._changes.extend(changes)

    def reached(self, position: Position) -> None:
        """Everything before this position of a file has been judged, and its changes were added."""
        # The last one that is written is the one that was read last.
        self._positions.pop((position.path, position.inode), None)
        self._positions[position.path, position.inode] = position

    async def room(self) -> None:
        """Wait until there is room for more changes."""
        while len(self._changes) > _MOST_WAITING:  # noqa: ASYNC110 - no event tells that a disk is free again
            await asyncio.sleep(_EVERY_SECONDS[0])

    async def commit(self) -> str | None:
        """Write what was noted; the error if that failed. What was not written is kept for the next time."""
        async with self._lock:
            changes, self._changes = self._changes, []
            positions, self._positions = self._positions, {}
            if not changes and not positions:
                return self.failing
            written = False
            try:
                await to_the_end(self.database.write, [*changes, *positions.values()])
                written, self.failing = True, None
            except StoreError as error:
                if self.failing is None:
                    _log.error("%s; bans go on, and are written as soon as it works again", error)
                self.failing = str(error)
            finally:
                if not written and self.failing is not None:
                    self._changes = changes + self._changes
                    older = {key: one for key, one in positions.items() if key not in self._positions}
                    self._positions = older | self._positions
            return self.failing

    async def prune(self, oldest: dict[str, Instant]) -> None:
        """Drop failures that no longer count, in the database too; what fails is tried at the next time."""
        async with self._lock:
            try:
                await to_the_end(self.database.prune, oldest)
            except StoreError as error:
                _log.warning("%s", error)

    async def run(self) -> None:
        """Commit again and again until cancelled."""
        pause, longest = _EVERY_SECONDS
        while True:
            await asyncio.sleep(pause)
            failed = await self.commit()
            pause = min(pause * 2, longest) if failed else _EVERY_SECONDS[0]
