"""One scan over a block finds the few lines that any regex could match; only those are looked at."""

from __future__ import annotations

from collections.abc import Iterable

import hyperscan

from sidecar.detect.literals import Requirement, required
from sidecar.fail2ban import datepatterns
from sidecar.fail2ban.filters import FilterSpec

# Hyperscan takes expressions up to some thousand characters, each byte of a literal is four.
_LONGEST = 200
# Date patterns for which no date can stand inside a literal: those that the literals are cut for.
_SAFE_DATES = {"", "{DEFAULT}", "{^LN-BEG}", "{NONE}", *datepatterns.DEFAULT_PATTERNS} | {
    f"{datepatterns.LINE_BEGIN}{pattern}" for pattern in datepatterns.DEFAULT_PATTERNS
}
# The one date of the default list that may stand right behind a word: with a blank for the first digit of its
# day. A literal may be torn there, so a line that has one is looked at in any case.
_ODD_DATE = rb"[\w\x80-\xff] [1-9][-/]\S{1,4}[-/]"


class ScanError(Exception):
    """Hyperscan does not take these literals."""


def requirements(spec: FilterSpec) -> list[Requirement] | None:
    """What a line must contain to interest a filter: one of these. None: no literal can tell.

    Where a prefregex is stronger than a failregex under it, it stands for that failregex.
    """
    if spec.maxlines > 1:
        # Every line may be a part of what is matched together.
        return None
    if not all(p.strip() in _SAFE_DATES or datepatterns.cuts_the_beginning(p) for p in spec.datepattern):
        # Where a date of the administrator's own making may stand in a line, nobody knows.
        return None
    found: list[Requirement] = []
    head = required(spec.prefregex.regex) if spec.prefregex else None
    for pattern in spec.failregex:
        own = required(pattern.regex)
        best = max((r for r in (own, head) if r), key=lambda r: min(len(x.text) for x in r), default=None)
        if best is None:
            return None
        found.append(best)
    return found


def _expression(text: str, encoding: str) -> bytes:
    """The regex that finds exactly these bytes; a part of a very long literal is enough."""
    return b"".join(b"\\x%02x" % byte for byte in text.encode(encoding)[:_LONGEST])


def _encodes(text: str, encoding: str) -> bool:
    """Whether the log's encoding has these characters; where not, decoding invented them."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


class Prefilter:
    """The literals of all filters that read one log, as one Hyperscan database.

    A filter without a usable literal makes every line a candidate (`complete` is True then).
    """

    def __init__(self, specs: Iterable[FilterSpec], encoding: str = "utf-8") -> None:
        literals: dict[bytes, int] = {}
        self.complete = False
        for spec in specs:
            wanted = requirements(spec)
            for requirement in wanted or ():
                if not all(_encodes(literal.text, encoding) for literal in requirement):
                    wanted = None
                    break
                for literal in requirement:
                    flags = hyperscan.HS_FLAG_CASELESS if literal.caseless else 0
                    key = _expression(literal.text, encoding)
                    # Wanted with and without case by two jails: without finds both.
                    literals[key] = literals.get(key, 0) | flags
            self.complete = self.complete or wanted is None
        if literals:
            literals[_ODD_DATE] = 0
        self._ends: list[int] = []
        self._database = self._compile(literals)

    def _compile(self, literals: dict[bytes, int]) -> hyperscan.Database | None:
        if not literals or self.complete:
            return None
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        try:
            database.compile(
                expressions=list(literals),
                ids=list(range(len(literals))),
                elements=len(literals),
                flags=list(literals.values()),
            )
        except hyperscan.error as error:
            raise ScanError(str(error)) from error
        return database

    def _found(self, _id: int, _start: int, end: int, _flags: int, _context: object) -> None:
        self._ends.append(end)

    def candidates(self, data: bytes) -> list[bytes]:
        """The candidate lines of a block of whole lines, in order, without their newlines."""
        if self.complete:
            return [line for line in data.split(b"\n") if line]
        if self._database is None:
            return []
        self._ends.clear()
        self._database.scan(data, match_event_handler=self._found)
        lines: list[bytes] = []
        behind = 0
        for end in self._ends:
            if end <= behind:
                continue
            # `end` lies behind the literal's last byte, which is no newline.
            start = data.rfind(b"\n", 0, end) + 1
            stop = data.find(b"\n", end)
            behind = len(data) if stop < 0 else stop
            lines.append(data[start:behind])
        return lines
