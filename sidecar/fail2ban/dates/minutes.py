"""Converts dates of the same minute by adding seconds: in a log most dates differ only in these."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from sidecar.fail2ban.dates.moments import Parts, moment
from sidecar.model import Instant

_MOST_REMEMBERED = 1024
_MICROSECONDS = 1_000_000
_LAST = 59


class Minutes:
    """The minutes of the last dates of one date pattern, for one zone and current time: clear it when one of
    these changes.

    A minute is only used if its first and last second are 59 seconds apart. They are not if the zone changes
    its offset in it, or if a date without a year belongs to another year in a part of it.
    """

    def __init__(self) -> None:
        # By the parts of a date, its second as 0: the epoch in microseconds, None after the first date of a
        # minute, 0 for a minute that cannot be used.
        self._begins: dict[tuple[str | None, ...], int | None] = {}

    def clear(self) -> None:
        """Forget all minutes."""
        self._begins.clear()

    def instant(self, parts: Parts, zone: tzinfo, now: Instant) -> Instant | None:
        """As `moment`."""
        seconds, fraction = parts.get("S") or "", parts.get("f") or ""
        if len(seconds) != 2 or seconds > "59":
            return _moment(parts, zone, now)
        first = {**parts, "S": "0", "f": None}
        minute = tuple(first.values())
        if minute not in self._begins:
            # The first date of a minute is not compared: a log may have only one.
            if len(self._begins) >= _MOST_REMEMBERED:
                self._begins.clear()
            self._begins[minute] = None
        elif self._begins[minute] is None:
            self._begins[minute] = _begin(first, zone, now)
        if begin := self._begins[minute]:
            added = int(seconds) * _MICROSECONDS + int(fraction.ljust(6, "0"))
            return (begin + added) / _MICROSECONDS
        return _moment(parts, zone, now)


def _begin(first: Parts, zone: tzinfo, now: Instant) -> int:
    """A date in microseconds, 0 if adding seconds to it is not exact in its minute."""
    begin = _moment(first, zone, now)
    last = _moment({**first, "S": str(_LAST)}, zone, now)
    if begin is None or last is None or last - begin != _LAST:
        return 0
    return round(begin * _MICROSECONDS)


def _moment(parts: Parts, zone: tzinfo, now: Instant) -> Instant | None:
    return moment(parts, zone, datetime.fromtimestamp(now, UTC))
