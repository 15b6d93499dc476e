"""One followed log, and the jails that read it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sidecar.detect.log_clock import LogClock
from sidecar.detect.match.matcher import LONGEST_LINE
from sidecar.detect.prefilter.prefilter import Prefilter
from sidecar.detect.scanner import Scanner
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Instant, Position, Seconds
from sidecar.sources.files.content import FileKey
from sidecar.sources.files.disk import Disk
from sidecar.sources.files.follower import LATE_SECONDS
from sidecar.sources.kinds import LogSource
from sidecar.sources.log_names import names

# A log whose name is missing for longer is gone; during a rotation it is missing for a moment only.
_GONE_SECONDS: Seconds = 10.0


class FollowedLog:
    """A log with its scanner, time zone, read position, and the task that follows it."""

    def __init__(
        self, path: str, disk: Disk, scanner: Scanner, clock: LogClock | None, *, tail: bool
    ) -> None:
        self.path, self.disk, self.scanner, self.clock, self.tail = path, disk, scanner, clock, tail
        if clock is not None:
            scanner.at_zone(clock.zone)
        self.caught_up = False
        self.error: str | None = None
        self.last_line: float | None = None
        self.positions: Sequence[Position] = ()
        self.source: LogSource | None = None
        self.task: asyncio.Task[None] | None = None
        # No jail reads it any more.
        self.stopped = False
        # All lines that were read are processed, so its task may end.
        self.idle = False
        # When its name disappeared, and when it was last read, by the monotonic clock.
        self.gone: Seconds | None = None
        self.heard: Seconds = time.monotonic()

    @property
    def keys(self) -> Collection[FileKey]:
        """The files that are open for reading."""
        return self.source.keys if self.source else ()

    def at_end(self) -> None:
        """All lines of the file were read."""
        self.caught_up, self.error, self.idle = True, None, True

    def behind(self, data: bytes, written: Instant, now: Instant) -> Seconds:
        """The age of the last line of a block that does not reach the end of the log. While a log is written
        to, the time of its last change (`written`) does not show how old the lines are."""
        line = data[data.rfind(b"\n", 0, -1) + 1 :][:LONGEST_LINE]
        at = self.scanner.when(line, now)
        return max(0.0, now - (written if at is None else min(at, written)))

    def is_over(self, now: Seconds) -> bool:
        """Whether its name has been missing longer than in a rotation, and the renamed file is no longer
        written to."""
        quiet = self.source is None or self.source.renamed is None or now > self.heard + LATE_SECONDS
        return self.idle and quiet and self.gone is not None and now > self.gone + _GONE_SECONDS


def log_record(path: str, log: FollowedLog | None, why: str | None) -> dict[str, Any]:
    """The state of a log, read (`log`) or only named by a jail; `why` it is not read."""
    return {
        "source": path,
        "up": why is None,
        "followed": log is not None,
        "lines": log.scanner.tally.lines if log else 0,
        "candidates": log.scanner.tally.candidates if log else 0,
        "last_line": log and log.last_line,
        "zone": log and log.clock and str(log.clock.zone),
        "zone_learnt": bool(log and log.clock and log.clock.learnt is not None),
        "caught_up": bool(log and log.caught_up),
        "error": why,
    }


# Prefilters by the names of the jails that share them.
Prefilters = dict[tuple[str, ...], Prefilter]


def reads(jail: JailSpec, log: FollowedLog, same: Collection[str]) -> bool:
    """Whether a jail reads a log. A jail in `same` (unchanged logpath) reads it if it did before."""
    if jail.name in same:
        return jail.name in log.scanner.jails
    return any(names(one.glob, log.path) for one in jail.logpath)


def prepared(jails: Mapping[str, JailSpec], same: Collection[str], logs: Iterable[FollowedLog]) -> Prefilters:
    """Build the prefilters of these logs for new jails. Slow: call it in a thread."""
    found: Prefilters = {}
    for log in logs:
        specs = [jail for jail in jails.values() if reads(jail, log, same)]
        key = tuple(jail.name for jail in specs)
        if specs and key not in found:
            found[key] = Prefilter.of(specs)
    return found
