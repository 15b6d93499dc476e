"""Extracts the literals that any match of a regex must contain, for the prefilter.

The regex matches the line *without its date*, but the prefilter scans the line *with* it. A date begins and
ends at a word boundary, so inside a literal it can only be between two non-word characters. Literals are cut
there, so that each piece is contiguous in the raw line.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple


class Literal(NamedTuple):
    """Text that must occur; `caseless` ignores the case of ASCII letters."""

    text: str
    caseless: bool


# One requirement: at least one of these literals occurs. A regex gives several requirements.
Requirement = frozenset[Literal]
_WORD = re.compile(r"\w", re.ASCII)
_MOST_ALTERNATIVES = 64
# Words that occur in so many lines of a mail log that searching them is useless.
_MARKS = " /[]()=<>:;,.-"
_EVERYWHERE = {"", "postfix", "postscreen", "smtpd", "from", "to", "helo"}


@lru_cache(maxsize=4096)
def required(pattern: re.Pattern[str]) -> Requirement | None:
    """The strongest requirement of a regex (whose shortest literal is longest), None if it has none."""
    try:
        with warnings.catch_warnings():
            # Ambiguous sets such as [[a] were already reported when the regex was compiled.
            warnings.simplefilter("ignore")
            parsed = _parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE)
        found = _Walk().requirements(parsed, bool(pattern.flags & re.IGNORECASE))
    except RecursionError:
        # `re` compiles more nested groups than this walk has room for.
        return None
    usable = [r for r in found if r and len(r) <= _MOST_ALTERNATIVES]
    return max(usable, key=_strength, default=None)


def _strength(requirement: Requirement) -> tuple[int, int]:
    least = min(
        0 if literal.text.strip(_MARKS) in _EVERYWHERE else len(literal.text) for literal in requirement
    )
    return least, -len(requirement)


class _Walk:
    """Walks a parsed regex and collects runs of characters that every match contains."""

    def __init__(self) -> None:
        self.found: list[Requirement] = []
        self.run = ""
        self.caseless = False

    def requirements(self, parsed: Any, caseless: bool) -> list[Requirement]:
        self.sequence(parsed, caseless)
        self.close()
        return self.found

    def close(self) -> None:
        """End the run of characters: the next character may not directly follow it."""
        for piece in _unbroken(self.run):
            self.found.append(frozenset({Literal(piece, self.caseless)}))
        self.run = ""

    def character(self, code: int, caseless: bool) -> None:
        text = chr(code)
        # Case folding beyond ASCII (and of k, s: Kelvin sign, long s) changes the bytes of a character.
        # U+FFFD replaces bytes that could not be decoded; it does not occur in the raw line.
        awkward = text == "\ufffd" or (caseless and (not text.isascii() or text in "kKsSiI"))
        if awkward or text == "\n" or caseless != self.caseless:
            self.close()
            self.caseless = caseless
        if not awkward and text != "\n":
            self.run += text

    def sequence(self, parsed: Any, caseless: bool) -> None:
        for code, argument in parsed:
            self.item(code, argument, caseless)

    def item(self, code: Any, argument: Any, caseless: bool) -> None:
        if code is op.LITERAL:
            self.character(argument, caseless)
        elif code is op.IN and len(argument) == 1 and argument[0][0] is op.LITERAL:
            self.character(argument[0][1], caseless)
        elif code is op.SUBPATTERN:
            _, added, removed, inner = argument
            within = (caseless or bool(added & re.IGNORECASE)) and not removed & re.IGNORECASE
            self.sequence(inner, within)
        elif code is op.ATOMIC_GROUP:
            self.sequence(argument, caseless)
        elif code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            self.repeat(argument, caseless)
        elif code is op.BRANCH:
            self.branch(argument[1], caseless)
        elif code is op.AT:
            pass  # an anchor has no width, so its neighbours stay adjacent
        elif code in (op.ASSERT, op.ASSERT_NOT):
            pass  # no width
        else:
            self.close()

    def repeat(self, argument: Any, caseless: bool) -> None:
        least, most, inner = argument
        if least == most == 1:
            self.sequence(inner, caseless)
            return
        self.close()
        if least >= 1:
            self.sequence(inner, caseless)
            self.close()

    def branch(self, branches: Any, caseless: bool) -> None:
        alternatives: set[Literal] = set()
        before = self.run, self.caseless
        self.close()
        for inner in branches:
            # The text before the branch directly precedes each alternative.
            walk = _Walk()
            walk.run, walk.caseless = before
            best = max(walk.requirements(inner, caseless), key=_strength, default=None)
            if best is None:
                return
            alternatives |= best
        self.found.append(frozenset(alternatives))


def _unbroken(run: str) -> list[str]:
    """Cut a literal wherever a date could be inside it: between two non-word characters."""
    pieces, piece = [], ""
    for character in run:
        if piece and not _WORD.match(piece[-1]) and not _WORD.match(character):
            pieces.append(piece)
            piece = ""
        piece += character
    return [p for p in [*pieces, piece] if p]
