"""Forgets positions and time zones of logs that have been gone for a long time, such as a log per day."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from sidecar.app.active import ActiveConfiguration
from sidecar.app.ingest.log_manager import LogManager
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.persist.memos import Memos
from sidecar.model import Seconds

_log = logging.getLogger("zmban.sources")
_KIND = "gone log"
# A log that comes back later is read as a new one: from where its lines still count.
_LONG: Seconds = 30 * 86400.0


class GoneLogs:
    """A memo per log holds since when it is gone. `zoned` are the logs in the database whose time zone is
    known."""

    def __init__(
        self,
        active: ActiveConfiguration,
        logs: LogManager,
        memos: Memos,
        commit_queue: CommitQueue,
        zoned: Iterable[str],
    ) -> None:
        self._active, self._logs, self._memos, self._commit_queue = active, logs, memos, commit_queue
        self._zoned = set(zoned)

    async def look(self) -> None:
        """Note which logs are gone, and forget those that have been gone for long."""
        if not self._logs.caught_up.is_set():
            # Not all logs are found yet.
            return
        gone = ({*self._commit_queue.positions()} | self._zoned) - self._logs.names()
        since = self._memos.of(_KIND)
        for path in since.keys() - gone:
            self._memos.drop(_KIND, path)
        for path in gone - since.keys():
            self._memos.put(_KIND, path, "")
        longest = max((jail.findtime for jail in self._active.jails.values()), default=0.0)
        before = time.time() - max(_LONG, longest)
        if over := {path for path in gone & since.keys() if since[path].at < before}:
            self._commit_queue.drop_logs(over)
            self._zoned -= over
            for path in over:
                self._memos.drop(_KIND, path)
            _log.info("forgot the positions of %d logs that have been gone for long", len(over))
