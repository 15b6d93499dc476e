"""The last lines of a log, for filters that match several lines together (`maxlines`)."""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple


class Kept(NamedTuple):
    """A line without its date, ending in a newline, and the line as it was read."""

    text: str
    line: str


class LineBuffer:
    """At most `most` lines, the newest last. Lines used by a match are removed; skipped lines stay."""

    def __init__(self, most: int) -> None:
        self._kept: deque[Kept] = deque(maxlen=most)

    def add(self, text: str, line: str) -> str:
        """Add a line. Returns all buffered lines as one text."""
        self._kept.append(Kept(text, line))
        return "".join(kept.text for kept in self._kept)

    def take(self, found: re.Match[str]) -> list[str]:
        """Remove the lines of a match, except those skipped by `<SKIPLINES>`. Returns the removed lines as
        they were read."""
        skipped = [found.span(name) for name in found.re.groupindex if name.startswith("skiplines")]
        start, end = found.span()
        stay: list[Kept] = []
        taken: list[str] = []
        begin = 0
        for kept in self._kept:
            stop = begin + len(kept.text)
            inside = begin < max(end, start + 1) and stop > start
            if not inside or any(first <= begin and stop <= last for first, last in skipped):
                stay.append(kept)
            else:
                taken.append(kept.line)
            begin = stop
        self._kept.clear()
        self._kept.extend(stay)
        return taken
