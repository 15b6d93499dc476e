"""Writes a line that a regex takes for somebody else's failure: proof that a client's text can frame him."""

from __future__ import annotations

import re
import warnings
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from sidecar.fail2ban.syntax.tags import HOST_GROUPS

ATTACKER, VICTIM = "203.0.113.7", "198.51.100.99"
_FILLED = "\0"
# What repeats less often is no place for a text.
_WIDE = 8
_CHARACTERS = "x1 -./:[]=a_\"'<>,;@"


def forged(pattern: re.Pattern[str]) -> str | None:
    """A line of which the attacker's own text makes this regex blame the victim; None where none is found,
    which proves nothing."""
    names = set(HOST_GROUPS) & set(pattern.groupindex)
    groups = {pattern.groupindex[name] for name in names}
    try:
        parsed = _parsed(pattern)
        framed = _Writer(groups, VICTIM, "x").write(parsed)
        tail = _Writer(groups, VICTIM, "").write(parsed)
        honest = _Writer(groups, ATTACKER, _FILLED).write(parsed)
    except (_TooHardError, RecursionError):
        return None
    candidates = [f"{ATTACKER} says {framed}", f"client {ATTACKER}: x {framed}"]
    # What stands behind each wildcard may be written into it.
    for place in (at for at, character in enumerate(honest) if character == _FILLED):
        rest = honest[place:].replace(_FILLED, "x").replace(ATTACKER, VICTIM, 1)
        behind = rest[: rest.find(VICTIM) + len(VICTIM)]
        filled = f"{honest[:place]}x{behind}{honest[place + 1 :]}"
        candidates.append(filled.replace(_FILLED, "x"))
    candidates.append(tail)
    for line in candidates:
        found = pattern.search(line)
        if found and ATTACKER in line and any(found.groupdict().get(name) == VICTIM for name in names):
            return line
    return None


def _parsed(pattern: re.Pattern[str]) -> Any:
    with warnings.catch_warnings():
        # Who wrote a doubtful set such as [[a] was told so when it was compiled.
        warnings.simplefilter("ignore")
        return _parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE)


class _TooHardError(ValueError):
    """The regex has a part of which no example is written."""


class _Writer:
    """Writes a shortest match, `host` where an address is captured, `wild` for what takes any text."""

    def __init__(self, hosts: set[int], host: str, wild: str) -> None:
        self._hosts, self._host, self._wild = hosts, host, wild

    def write(self, parsed: Any) -> str:
        return "".join(self._item(code, argument) for code, argument in parsed)

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
        if most > _WIDE and len(inner) == 1 and self._takes_any(*inner[0]):
            return self._wild if least == 0 else (self._wild or self.write(inner)) * least
        return self.write(inner) * least

    @staticmethod
    def _takes_any(code: Any, argument: Any) -> bool:
        """Whether a part that repeats takes a client's text, at least its letters."""
        if code is op.ANY:
            return True
        return code in (op.IN, op.NOT_LITERAL) and re.fullmatch(_set(code, argument), "x") is not None

    def _one_of(self, code: Any, argument: Any) -> str:
        """A character of a set, one that stands in many lines if there is one."""
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
