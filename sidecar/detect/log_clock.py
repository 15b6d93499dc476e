"""The zone of a log whose dates name none: learnt from live lines, which were written just now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo

from sidecar.fail2ban.dates.detector import DateDetector
from sidecar.model import Instant, Seconds

_QUARTER: Seconds = 900.0
# A line is read so soon after it is written; and no place on earth is further from Greenwich.
_LATE: Seconds = 30.0
_FAST: Seconds = 2.0
_FURTHEST: Seconds = 14 * 3600.0
# So many lines of different seconds must agree before a zone is believed.
_AGREEING = 3


def offset(wall: Instant, now: Instant, late: Seconds = _LATE) -> Seconds | None:
    """The quarter hours by which a clock on a wall, read as if it were UTC's, is ahead of now; None where
    it is none that a zone could have."""
    ahead = wall - now
    quarters = round((ahead + late / 2) / _QUARTER) * _QUARTER
    # A line is stamped a little before it is read, and its clock may go a little fast.
    good = -_FAST <= quarters - ahead <= late and abs(quarters) <= _FURTHEST
    return quarters if good else None


class LogClock:
    """What zone the dates of one log are in: the host's, until the log itself says something else.

    `learnt` is the offset from UTC in seconds that an earlier run found.
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
        """Look at a line that was written just now; whether the zone is another one since."""
        wall = self._wall(line, now)
        found = None if wall is None else offset(wall, now)
        if found is None:
            return False
        self._seen = [(second, o) for second, o in self._seen if o == found and second != int(now)]
        self._seen = [*self._seen, (int(now), found)][-_AGREEING:]
        return len(self._seen) == _AGREEING and self._believe(found, now)

    def guess(self, line: str, written: Instant) -> bool:
        """Look at the last line of a log that was last written to at `written`, before anything is read:
        better than nothing, so only if nothing was learnt yet; whether the zone is another one since."""
        wall = self._wall(line, written)
        found = None if wall is None or self.learnt is not None else offset(wall, written, 5.0)
        return found is not None and self._believe(found, written)

    def _believe(self, found: Seconds, now: Instant) -> bool:
        here = datetime.fromtimestamp(now, self._host).utcoffset()
        # The host's own zone also knows when its clocks change.
        learnt = None if here is not None and here.total_seconds() == found else found
        changed = learnt != self.learnt
        self.learnt = learnt
        return changed

    def _wall(self, line: str, now: Instant) -> Instant | None:
        """What the clock on the wall said, as if it were UTC's; None where the date names its zone."""
        # Far ahead of UTC a date without a year may be a day ahead of now.
        at, _ = self._dates.cut(line, now + _FURTHEST)
        return None if self._dates.zoned else at


# While following live, a stamp further off than this is a wrong zone or a late line: it happens now.
_LIVE_TOLERANCE: Seconds = 60.0


def effective_time(at: Instant | None, now: Instant, *, live: bool) -> Instant:
    """The time a line counts at: its own; now if it has none, lies ahead, or is far off while live."""
    if at is None or at > now or (live and now - at > _LIVE_TOLERANCE):
        return now
    return at
