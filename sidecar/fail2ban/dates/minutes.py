"""Converts dates of the same minute by adding seconds: in a log most dates differ only in these."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from sidecar.fail2ban.dates.moments import moment
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
        # By the text around seconds and fraction: the epoch of its beginning in microseconds, None after
        # the first date, -1 for a minute that cannot be used.
        self._begins: dict[tuple[str, str], int | None] = {}

    def clear(self) -> None:
        """Forget all minutes."""
        self._begins.clear()

    def instant(self, match: re.Match[str], zone: tzinfo, now: Instant) -> Instant | None:
        """As `moment`, for the groups of this match."""
        found = _divided(match)
        if found is None:
            return _moment(match.groupdict(), zone, now)
        minute, microseconds = found
        begin = self._begins.get(minute, -2)
        if begin == -2:
            # The first date of a minute is not compared: a log may have only one.
            if len(self._begins) >= _MOST_REMEMBERED:
                self._begins.clear()
            self._begins[minute] = None
        elif begin is None:
            begin = self._begins[minute] = _begin(match.groupdict(), zone, now)
        if begin is not None and begin > 0:
            return (begin + microseconds) / _MICROSECONDS
        return _moment(match.groupdict(), zone, now)


def _divided(match: re.Match[str]) -> tuple[tuple[str, str], int] | None:
    """The text around seconds and fraction, and these in microseconds; None for a date of another form."""
    groups = match.re.groupindex
    if "S" not in groups:
        return None
    text, start = match[1], match.start(1)
    begin, end = match.start("S") - start, match.end("S") - start
    seconds, fraction = text[begin:end], ""
    if len(seconds) != 2 or seconds > "59":
        return None
    behind = end
    if "f" in groups and match["f"] is not None:
        fraction, behind = match["f"], match.end("f") - start
        # A sign such as the point or the comma is between them.
        if match.start("f") - start != end + 1:
            return None
    return (text[:begin], text[behind:]), int(seconds) * _MICROSECONDS + int(fraction.ljust(6, "0") or 0)


def _begin(parts: dict[str, str | None], zone: tzinfo, now: Instant) -> int:
    """The beginning of the minute of a date in microseconds, -1 if adding seconds to it is not exact."""
    first = _moment({**parts, "S": "0", "f": None}, zone, now)
    last = _moment({**parts, "S": str(_LAST), "f": None}, zone, now)
    exact = first is not None and last is not None and last - first == _LAST
    return round(first * _MICROSECONDS) if exact and first is not None else -1


def _moment(parts: dict[str, str | None], zone: tzinfo, now: Instant) -> Instant | None:
    return moment(parts, zone, datetime.fromtimestamp(now, UTC))
