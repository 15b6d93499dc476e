"""When a line happened: finds the date in a line by the patterns of a filter, and cuts it out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from sidecar.fail2ban.datepatterns import DEFAULTS, Template, expand
from sidecar.fail2ban.moments import moment
from sidecar.model import Instant

# A date that is not at the beginning of a line is looked for no further: longer lines are somebody's text.
_FAR = 512
_MOST_REMEMBERED = 4096


class DateDetector:
    """Finds and cuts the date of a line; remembers which pattern fitted last, since logs keep to one.

    `zone` is the zone of dates that name none. One detector serves one log of one jail.
    """

    def __init__(self, zone: tzinfo, patterns: list[str] | None = None) -> None:
        self.zone = zone
        self._templates = expand(patterns) if patterns else list(DEFAULTS)
        # What fitted the line that was cut last.
        self.template: Template | None = None
        self._match: re.Match[str] | None = None
        self._last: Template | None = None
        self._place: tuple[int, str, str] = (0, "", "")
        self._cache: dict[tuple[str, str], Instant | None] = {}
        self._cached: tuple[int, tzinfo] = (0, zone)

    def cut(self, line: str, now: Instant) -> tuple[Instant | None, str]:
        """The line's time (None: it has none) and the line without its date."""
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
        """Whether the date that was cut last named its zone itself."""
        parts = self._match.groupdict() if self._match else {}
        return any(parts.get(name) for name in ("epoch", "tai", "z", "Z"))

    def _find(self, line: str) -> tuple[Template, re.Match[str]] | None:
        """The pattern that fitted last where it fitted last, else one at the beginning of the line, else
        the nearest."""
        last = self._last
        if last is not None:
            found = last.regex.search(line) if last.anchored else self._again(last, line)
            if found is not None:
                return last, found
        nearest: tuple[Template, re.Match[str]] | None = None
        for template in self._templates:
            found = template.regex.search(line, 0, len(line) if template.anchored else _FAR)
            if found is None:
                continue
            if template.anchored:
                return template, found
            if nearest is None or found.start(1) < nearest[1].start(1):
                nearest = template, found
        return nearest

    def _again(self, template: Template, line: str) -> re.Match[str] | None:
        """The same pattern at the same place, between the same characters, as in the line before."""
        start, before, behind = self._place
        if line[start - 1 : start] != before:
            return None
        found = template.regex.match(line, start)
        if found is None or found.start(1) != start or line[found.end(1) : found.end(1) + 1] != behind:
            return None
        return found

    def _instant(self, template: Template, match: re.Match[str], now: Instant) -> Instant | None:
        # The same second stands on many lines under attack; a date without a year depends on today.
        current = (int(now // 3600), self.zone)
        if current != self._cached or len(self._cache) > _MOST_REMEMBERED:
            self._cache.clear()
            self._cached = current
        key = (match.group(1), template.pattern)
        if key not in self._cache:
            self._cache[key] = moment(match.groupdict(), self.zone, datetime.fromtimestamp(now, UTC))
        return self._cache[key]
