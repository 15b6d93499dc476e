"""Generates an example line with which an attacker makes a regex blame another address."""

from __future__ import annotations

import re
import warnings
from itertools import islice
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from sidecar.detect.match.matcher import LONGEST_LINE
from sidecar.fail2ban.syntax.tags import HOST_GROUPS

ATTACKER, VICTIM = "203.0.113.7", "198.51.100.99"
_WILDCARD = "\0"
# A repetition with a lower maximum has no room for a forged text.
_WIDE = 8
# The time of one search grows with the number of wildcards too.
_MOST_PLACES = 30
_CHARACTERS = "x1 -./:[]=a_\"'<>,;@"


def forged(pattern: re.Pattern[str]) -> str | None:
    """A line containing an attacker's text for which this regex blames the victim. None if none is found,
    which does not prove that there is none."""
    names = set(HOST_GROUPS) & set(pattern.groupindex)
    groups = {pattern.groupindex[name] for name in names}
    try:
        parsed = _parsed(pattern)
        framed = _Writer(groups, VICTIM, "x").write(parsed)
        tail = _Writer(groups, VICTIM, "").write(parsed)
        honest = _Writer(groups, ATTACKER, _WILDCARD).write(parsed)
    except (_TooHardError, RecursionError):
        return None
    candidates = [f"{ATTACKER} says {framed}", f"client {ATTACKER}: x {framed}"]
    # An attacker can write a copy of the text that follows a wildcard into the wildcard.
    places = (at for at, character in enumerate(honest) if character == _WILDCARD)
    for place in islice(places, _MOST_PLACES):
        rest = honest[place:].replace(_WILDCARD, "x").replace(ATTACKER, VICTIM, 1)
        behind = rest[: rest.find(VICTIM) + len(VICTIM)]
        filled = f"{honest[:place]}x{behind}{honest[place + 1 :]}"
        candidates.append(filled.replace(_WILDCARD, "x"))
    candidates.append(tail)
    for line in candidates:
        found = pattern.search(line)
        if found and ATTACKER in line and any(found.groupdict().get(name) == VICTIM for name in names):
            return line
    return None


def _parsed(pattern: re.Pattern[str]) -> Any:
    with warnings.catch_warnings():
        # Ambiguous sets such as [[a] were already reported when the regex was compiled.
        warnings.simplefilter("ignore")
        return _parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE)


class _TooHardError(ValueError):
    """The regex has a part for which no example can be generated."""


class _Writer:
    """Generates a shortest match, with `host` for captured addresses and `wild` for wildcards."""

    def __init__(self, hosts: set[int], host: str, wild: str) -> None:
        self._hosts, self._host, self._wild = hosts, host, wild

    def write(self, parsed: Any) -> str:
        text = ""
        for code, argument in parsed:
            text += self._item(code, argument)
            if len(text) > LONGEST_LINE:
                raise _TooHardError
        return text

    def _item(self, code: Any, argument: Any) -> str:
        if code is op.LITERAL:
            return chr(argument)
        if code is op.ANY:
            return "x"
        if code in (op.NOT_LITERAL, op.IN):
            return self._one_of(code, argument)
        if code is op.SUBPATTERN:
            group, _, _, inner = argument
            return self._host if group in self._hosts else self.write(inner)
        if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            return self._repeat(argument)
        if code is op.BRANCH:
            return self.write(argument[1][0])
        if code is op.ATOMIC_GROUP:
            return self.write(argument)
        if code in (op.AT, op.ASSERT, op.ASSERT_NOT):
            return ""
        raise _TooHardError

    def _repeat(self, argument: Any) -> str:
        least: int = argument[0]
        most, inner = argument[1:]
        any_text = most > _WIDE and len(inner) == 1 and self._takes_any(*inner[0])
        if any_text and least == 0:
            return self._wild
        text = self._wild if any_text and self._wild else self.write(inner)
        if least * len(text) > LONGEST_LINE:
            # A longer line is refused without a match, and a{1000} in a{1000} in a{1000} takes gigabytes.
            raise _TooHardError
        return text * least

    @staticmethod
    def _takes_any(code: Any, argument: Any) -> bool:
        """Whether a repeated part matches arbitrary text, at least letters."""
        if code is op.ANY:
            return True
        return code in (op.IN, op.NOT_LITERAL) and re.fullmatch(_set(code, argument), "x") is not None

    def _one_of(self, code: Any, argument: Any) -> str:
        """A character of a set, preferably a common one."""
        one = re.compile(_set(code, argument), re.DOTALL)
        for character in _CHARACTERS:
            if one.fullmatch(character):
                return character
        raise _TooHardError


def _set(code: Any, argument: Any) -> str:
    if code is op.NOT_LITERAL:
        return f"[^{re.escape(chr(argument))}]"
    text = ""
    for kind, value in argument:
        if kind is op.NEGATE:
            text = "^" + text
        elif kind is op.LITERAL:
            text += re.escape(chr(value))
        elif kind is op.RANGE:
            text += f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        elif kind is op.CATEGORY:
            text += _CATEGORIES[value]
    return f"[{text}]"


_CATEGORIES = {
    op.CATEGORY_DIGIT: r"\d", op.CATEGORY_NOT_DIGIT: r"\D", op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S", op.CATEGORY_WORD: r"\w", op.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip
