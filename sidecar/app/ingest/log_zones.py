"""The time zone of the dates in each log: detected from live lines, saved, and used by its scanner."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from datetime import tzinfo

from sidecar.app.ingest.followed_log import FollowedLog
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.detect.log_clock import LogClock
from sidecar.detect.match.matcher import LONGEST_LINE
from sidecar.detect.scanner import Scanner
from sidecar.model import Instant, Seconds, SourceError
from sidecar.sources.files.descriptors import open_regular
from sidecar.sources.files.disk import Disk
from sidecar.sources.kinds import file_path, kind_of
from sidecar.store.database import Zone

_log = logging.getLogger("zmban.sources")


class LogZones:
    """`known` are the detected zones from the database, in seconds ahead of UTC; None is the zone of the
    `host`."""

    def __init__(self, host: tzinfo, known: Mapping[str, Seconds | None], commit_queue: CommitQueue) -> None:
        self._host, self._known, self._commit_queue = host, dict(known), commit_queue

    async def clock(self, scanner: Scanner, disk: Disk) -> LogClock | None:
        """The clock for the dates of a log; None if its jails set the time zone."""
        if scanner.datepattern is None:
            return None
        clock = LogClock(self._host, scanner.datepattern, self._known.get(scanner.path))
        if scanner.path not in self._known:
            # The follower reports a log that cannot be read.
            with contextlib.suppress(OSError, SourceError):
                raw, written = await disk.ask(_last_line, file_path(scanner.path))
                line = scanner.decode(kind_of(scanner.path).line(raw))
                if raw and clock.guess(line, written):
                    self._learnt(scanner.path, clock)
        return clock

    def look(self, log: FollowedLog, data: bytes, now: Instant) -> None:
        """Detect the zone from the last line of a block that was just written."""
        if log.clock is None:
            return
        last = data[data.rfind(b"\n", 0, -1) + 1 : -1][:LONGEST_LINE]
        if log.clock.see(log.scanner.decode(last), now):
            log.scanner.at_zone(log.clock.zone)
            self._learnt(log.path, log.clock)

    def _learnt(self, path: str, clock: LogClock) -> None:
        self._known[path] = clock.learnt
        self._commit_queue.add([Zone(path, clock.learnt)])
        _log.info("%s: dates are read in the zone %s", path, clock.zone)


def _last_line(path: str) -> tuple[bytes, Instant]:
    """The last complete line of a log, empty if there is none, and the modification time. OSError,
    SourceError."""
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        data = os.pread(file.fileno(), LONGEST_LINE, max(0, status.st_size - LONGEST_LINE))
    lines = data.split(b"\n")
    return lines[-2] if len(lines) > 1 else b"", status.st_mtime
