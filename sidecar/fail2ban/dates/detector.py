"""Finds the date in a line by the date patterns of a filter, and removes it from the line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import tzinfo

from sidecar.fail2ban.dates.datepatterns import DEFAULTS, Template, expand
from sidecar.fail2ban.dates.minutes import Minutes
from sidecar.model import Instant

# A date that is not at the beginning is only searched in this many characters.
_SEARCHED = 512
_MOST_REMEMBERED = 4096
# The anchored default patterns look at most this many characters behind the date: fraction, year, zone.
_LOOKED_AT = 14
# Each date of a default pattern has one of these: a time, six digits in a row, or a TAI64N label.
_LIKE_A_DATE = re.compile(r"\d:\d{1,2}:\d|\d{6}|@[0-9a-f]{24}")
_DEFAULTS = frozenset(map(id, DEFAULTS))
_FIXED = frozenset(id(template) for template in DEFAULTS if template.anchored)


class DateDetector:
    """Finds and removes the date of a line. Tries the pattern of the previous line first.

    `zone` applies to dates that name none. One detector serves one log of one jail.
    """

    def __init__(self, zone: tzinfo, patterns: list[str] | None = None) -> None:
        self.zone = zone
        self._templates = expand(patterns) if patterns else list(DEFAULTS)
        self._only_defaults = _DEFAULTS.issuperset(map(id, self._templates))
        # The pattern that matched the last line, None if none did.
        self.template: Template | None = None
        self._match: re.Match[str] | None = None
        self._last: Template | None = None
        self._place: tuple[int, str, str] = (0, "", "")
        self._cache: dict[str | tuple[str | None, ...], Instant | None] = {}
        self._minutes = Minutes()
        self._cached: tuple[Template | None, float, tzinfo] = (None, 0.0, zone)

    def cut(self, line: str, now: Instant) -> tuple[Instant | None, str]:
        """The time in the line (None if it has no date), and the line without its date."""
        found = self._find(line)
        self.template = found[0] if found else None
        if found is None:
            return None, line
        template, match = found
        start, end = match.span(1)
        if start == end:
            return None, line
        self._last = template
        self._match = match
        if not template.anchored:
            self._place = (start, line[start - 1 : start], line[end : end + 1])
        return self._instant(template, match, now), line[:start] + line[end:]

    @property
    def zoned(self) -> bool:
        """Whether the last date names its zone itself."""
        parts = self._match.groupdict() if self._match else {}
        return any(parts.get(name) for name in ("epoch", "tai", "z", "Z"))

    @property
    def fixed(self) -> tuple[int, int] | None:
        """The span of the last date, if an anchored default pattern matched it; else None."""
        if self.template is None or self._match is None or id(self.template) not in _FIXED:
            return None
        return self._match.span(1)

    def _find(self, line: str) -> tuple[Template, re.Match[str]] | None:
        """The match of the last pattern at its last position, else of an anchored pattern, else the leftmost
        match."""
        last = self._last
        if last is not None:
            found = last.regex.search(line) if last.anchored else self._again(last, line)
            if found is not None:
                return last, found
        if self._only_defaults and not _LIKE_A_DATE.search(line):
            # Such as the lines of a stack trace; to try all patterns takes 100 microseconds.
            return None
        nearest: tuple[Template, re.Match[str]] | None = None
        for template in self._templates:
            found = template.regex.search(line, 0, len(line) if template.anchored else _SEARCHED)
            if found is None:
                continue
            if template.anchored:
                return template, found
            if nearest is None or found.start(1) < nearest[1].start(1):
                nearest = template, found
        return nearest

    def _again(self, template: Template, line: str) -> re.Match[str] | None:
        """A match at the same position, between the same characters, as in the previous line."""
        start, before, behind = self._place
        if line[start - 1 : start] != before:
            return None
        found = template.regex.match(line, start)
        if found is None or found.start(1) != start or line[found.end(1) : found.end(1) + 1] != behind:
            return None
        return found

    def _instant(self, template: Template, match: re.Match[str], now: Instant) -> Instant | None:
        # Under attack many lines share a second. The cache is valid for an hour: a date without a year
        # depends on the current day.
        hour = now // 3600
        if template is not self._cached[0] or hour != self._cached[1] or self.zone is not self._cached[2]:
            self._cache.clear()
            self._minutes.clear()
            self._cached = (template, hour, self.zone)
        # The group that is cut out of the line may hold only a part of the date.
        text = match.group(1) if id(template) in _DEFAULTS else match.groups()
        try:
            return self._cache[text]
        except KeyError:
            pass
        if len(self._cache) > _MOST_REMEMBERED:
            self._cache.clear()
        at = self._cache[text] = self._minutes.instant(match.groupdict(), self.zone, now)
        return at


class LineDates:
    """The dates of the lines of one log, computed once for all filters with the same date patterns.

    `before` is the time of the previous line, which may apply to a line without a date.
    """

    def __init__(self, zone: tzinfo, patterns: Sequence[str] = ()) -> None:
        self.detector = DateDetector(zone, list(patterns) or None)
        self.before: Instant | None = None
        self._line: str | None = None
        self._dated: tuple[Instant | None, str] = (None, "")
        # A beginning of a line that determines the date: that text, the part before the date, the end of the
        # date, and the `now` and zone for which it is valid.
        self._begin, self._head, self._behind = "", "", 0
        self._read: tuple[Instant, tzinfo] = (0.0, zone)

    def of(self, line: str, now: Instant) -> tuple[Instant | None, str]:
        """The time in the line (None if it has no date), and its text without the date. The same str object
        is not searched again."""
        if line is self._line:
            return self._dated
        at = self._dated[0]
        if at is not None:
            self.before = at
        if (
            self._begin
            and line.startswith(self._begin)
            and now == self._read[0]
            and self.detector.zone is self._read[1]
        ):
            self._line, self._dated = line, (self.before, self._head + line[self._behind :])
            return self._dated
        # Stored before the search: if it is aborted (Overrun), the line is not searched again.
        self._line, self._dated, self._begin = line, (None, line), ""
        self._dated = self.detector.cut(line, now)
        self._remember(line, now)
        return self._dated

    def _remember(self, line: str, now: Instant) -> None:
        span = self.detector.fixed
        if span is None or self._dated[0] is None:
            return
        start, end = span
        follows = line[end : end + _LOOKED_AT]
        # A date may continue after spaces, so at least one other character must follow.
        if len(follows) == _LOOKED_AT and follows[1:].strip():
            self._begin = line[: end + _LOOKED_AT]
            self._head, self._behind = line[:start], end
            self._read = (now, self.detector.zone)
