"""The exact match: a candidate line is dated, and the failregexes of a jail say what happened."""

from __future__ import annotations

import re
from datetime import tzinfo
from typing import NamedTuple

from sidecar.fail2ban.dates import DateDetector
from sidecar.fail2ban.filters import FilterSpec
from sidecar.fail2ban.tags import HOST_GROUPS
from sidecar.model import Instant

# Longer lines are refused whole and counted: half a line could say something else than the line.
LONGEST_LINE = 16384


class Outcome(NamedTuple):
    """What one filter says of one line: `regex` is the index of the failregex that matched, -1 for none;
    `text` the line without its date."""

    regex: int
    host: str | None
    at: Instant | None
    groups: dict[str, str]
    text: str = ""
    ignored: bool = False


class Matcher:
    """One filter over one log, line by line. Holds only the date detector's memory."""

    def __init__(self, spec: FilterSpec, zone: tzinfo) -> None:
        self._spec = spec
        self._dates = DateDetector(zone, list(spec.datepattern) or None)

    def match(self, line: str, now: Instant) -> Outcome:
        """Match one decoded line without its newline; `now` resolves a date without a year."""
        at, dateless = self._dates.cut(line, now)
        text = dateless
        groups: dict[str, str] = {}
        if self._spec.prefregex:
            head = self._spec.prefregex.regex.search(text)
            if head is None:
                return Outcome(-1, None, at, groups, dateless)
            groups = _groups(head)
            text = groups.pop("content", text)
        for index, pattern in enumerate(self._spec.failregex):
            found = pattern.regex.search(text)
            if found is None:
                continue
            groups |= _groups(found)
            host = next((groups[name] for name in HOST_GROUPS if groups.get(name)), None)
            ignored = any(ignore.regex.search(text) for ignore in self._spec.ignoreregex)
            return Outcome(index, host, at, groups, dateless, ignored)
        return Outcome(-1, None, at, groups, dateless)


def _groups(found: re.Match[str]) -> dict[str, str]:
    return {name: value for name, value in found.groupdict().items() if value is not None}
