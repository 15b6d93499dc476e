"""Collects what must outlive a restart and commits it together, at most a second late."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from sidecar.model import Position, StoreError
from sidecar.store.database import Change, Database

_log = logging.getLogger("zmban.store")
# Half of the second that is promised: a commit takes its time too.
_EVERY_SECONDS = 0.5


class Ledger:
    """Changes in order, and the newest position of each log; one transaction takes both."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.failing: str | None = None
        self._changes: list[Change] = []
        self._positions: dict[str, Position] = {}
        self._lock = asyncio.Lock()

    def add(self, changes: Iterable[Change]) -> None:
        """Note changes; they are committed with the positions noted by then."""
        self._changes.extend(changes)

    def reached(self, position: Position) -> None:
        """Everything before this position of a log has been judged, and its changes were added."""
        self._positions[position.path] = position

    async def commit(self) -> None:
        """Write what was noted, in a thread. On a full disk it is kept for the next time."""
        async with self._lock:
            changes, self._changes = self._changes, []
            positions, self._positions = self._positions, {}
            if not changes and not positions:
                return
            try:
                await asyncio.to_thread(self.database.write, [*changes, *positions.values()])
                self.failing = None
            except StoreError as error:
                self._changes = changes + self._changes
                self._positions = positions | self._positions
                if self.failing is None:
                    _log.error("%s; bans go on, and are written as soon as it works again", error)
                self.failing = str(error)

    async def run(self) -> None:
        """Commit again and again until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            await self.commit()
