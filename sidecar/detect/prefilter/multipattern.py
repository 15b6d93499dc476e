"""Searches many literals in a block: with Hyperscan, or one by one if Hyperscan does not run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple, Protocol

import hyperscan


class ScanError(Exception):
    """Hyperscan cannot compile these literals."""


class Text(NamedTuple):
    """A literal as bytes of a log; `caseless` ignores the case of ASCII letters."""

    text: bytes
    caseless: bool


# The end offset of a literal, and its number.
Hit = tuple[int, int]

# Dates of the default list that may directly follow a word: those with a space for the first digit of the
# day. They may split a literal.
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_NUMBER = r"(?:0?[1-9]|1[0-2])"
_YEAR = r"(?:20[0-3]\d|\d\d) "
ODD_DATE = (rf"[\w\x80-\xff] [1-9](?:[/-](?:{_MONTHS})[/-]20|/{_NUMBER}/{_YEAR}|-{_NUMBER}-{_YEAR})").encode()


class Engine(Protocol):
    """Finds literals. The number of a hit is the index of its literal; the next higher number is an
    ODD_DATE."""

    def hits(self, data: bytes) -> list[Hit]:
        """At least one hit per line and literal in it, in order of their ends."""


class Hyperscan:
    """Searches all literals in one pass."""

    def __init__(self, texts: Sequence[Text]) -> None:
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        expressions = [b"".join(b"\\x%02x" % byte for byte in one.text) for one in texts]
        flags = [hyperscan.HS_FLAG_CASELESS if one.caseless else 0 for one in texts]
        try:
            self._database.compile(
                expressions=[*expressions, ODD_DATE],
                ids=list(range(len(texts) + 1)),
                elements=len(texts) + 1,
                flags=[*flags, hyperscan.HS_FLAG_CASELESS],
            )
        except hyperscan.error as error:
            raise ScanError(str(error)) from error

    def hits(self, data: bytes) -> list[Hit]:
        """See Engine; every occurrence in a line is a hit."""
        found: list[Hit] = []
        append = found.append
        self._database.scan(data, match_event_handler=lambda number, _s, end, _f, _c: append((end, number)))
        return found


class OneByOne:
    """Searches one literal after the other: the time grows with their number."""

    def __init__(self, texts: Sequence[Text]) -> None:
        self._texts = [(t.text.lower() if t.caseless else t.text, t.caseless) for t in texts]
        self._odd = re.compile(ODD_DATE, re.IGNORECASE)

    def hits(self, data: bytes) -> list[Hit]:
        """See Engine; only the first occurrence in each line is a hit."""
        lowered = data.lower() if any(caseless for _, caseless in self._texts) else data
        found: list[Hit] = [(odd.end(), len(self._texts)) for odd in self._odd.finditer(data)]
        for number, (text, caseless) in enumerate(self._texts):
            searched = lowered if caseless else data
            at = searched.find(text)
            while at >= 0:
                found.append((at + len(text), number))
                line_end = searched.find(b"\n", at + len(text))
                at = searched.find(text, line_end) if line_end >= 0 else -1
        found.sort()
        return found


@cache
def refused() -> str | None:
    """Why Hyperscan does not run on this processor (it needs SSSE3); None if it does."""
    try:
        hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK).compile(
            expressions=[b"a"], ids=[0], elements=1, flags=[0]
        )
    except hyperscan.ArchitectureError:
        return "this processor has no SSSE3, which Hyperscan needs"
    except hyperscan.error as error:
        return f"Hyperscan does not run here: {error}"
    return None


def engine(texts: Sequence[Text]) -> Engine:
    """The fastest engine that runs on this processor. Raises ScanError."""
    return Hyperscan(texts) if refused() is None else OneByOne(texts)
