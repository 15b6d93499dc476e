"""Learns the time zone of a log whose dates name none from live lines, which were written just now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo

from sidecar.fail2ban.dates.detector import DateDetector
from sidecar.model import Instant, Seconds

_QUARTER: Seconds = 900.0
# A live line is read at most _LATE seconds after it was written, and its clock is at most _FAST seconds
# ahead. No zone is further from UTC than _FURTHEST.
_LATE: Seconds = 30.0
_FAST: Seconds = 2.0
_FURTHEST: Seconds = 14 * 3600.0
# The number of lines of different seconds that must agree on a zone.
_AGREEING = 3


def offset(wall: Instant, now: Instant, late: Seconds = _LATE) -> Seconds | None:
    """The offset from UTC, in whole quarter hours, of a local time `wall` (read as UTC) at the time `now`.
    None if no zone has such an offset."""
    ahead = wall - now
    quarters = round((ahead + late / 2) / _QUARTER) * _QUARTER
    # A line is stamped a little before it is read, and its clock may go a little fast.
    good = -_FAST <= quarters - ahead <= late and abs(quarters) <= _FURTHEST
    return quarters if good else None


class LogClock:
    """The zone of the dates of one log: the host's, until the log's lines show another one.

    `learnt` is the offset from UTC in seconds found by an earlier run.
    """

    def __init__(self, host: tzinfo, patterns: list[str], learnt: Seconds | None = None) -> None:
        self._host = host
        self._dates = DateDetector(UTC, patterns or None)
        self.learnt = learnt
        self._seen: list[tuple[int, Seconds]] = []

    @property
    def zone(self) -> tzinfo:
        """The zone to read dates in."""
        return self._host if self.learnt is None else timezone(timedelta(seconds=self.learnt))

    def see(self, line: str, now: Instant) -> bool:
        """Learn from a line that was written just now. Returns whether the zone changed."""
        wall = self._wall(line, now)
        found = None if wall is None else offset(wall, now)
        if found is None:
            return False
        self._seen = [(second, o) for second, o in self._seen if o == found and second != int(now)]
        self._seen = [*self._seen, (int(now), found)][-_AGREEING:]
        return len(self._seen) == _AGREEING and self._set(found, now)

    def guess(self, line: str, written: Instant) -> bool:
        """Guess the zone from the last line of a log modified at `written`, before anything is read and only
        if nothing was learnt yet. Returns whether the zone changed."""
        wall = self._wall(line, written)
        found = None if wall is None or self.learnt is not None else offset(wall, written, 5.0)
        return found is not None and self._set(found, written)

    def _set(self, found: Seconds, now: Instant) -> bool:
        here = datetime.fromtimestamp(now, self._host).utcoffset()
        # If equal, prefer the host's zone, which includes daylight saving changes.
        learnt = None if here is not None and here.total_seconds() == found else found
        changed = learnt != self.learnt
        self.learnt = learnt
        return changed

    def _wall(self, line: str, now: Instant) -> Instant | None:
        """The local time in a line, read as UTC; None if the date names its zone."""
        # In zones ahead of UTC a date without a year may be a day ahead of now.
        at, _ = self._dates.cut(line, now + _FURTHEST)
        return None if self._dates.zoned else at


# In a live log, a time further from now than this is due to a wrong zone or a delayed line.
_LIVE_TOLERANCE: Seconds = 60.0


def effective_time(at: Instant | None, now: Instant, *, live: bool) -> Instant:
    """The time at which a line counts: its own, or now if it has none, is in the future, or is live and more
    than a minute old."""
    if at is None or at > now or (live and now - at > _LIVE_TOLERANCE):
        return now
    return at
