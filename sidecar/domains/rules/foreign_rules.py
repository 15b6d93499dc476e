"""Reads a map of the administrator's: simple rules for a domain, and the rest word for word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sidecar.domains.rules.map_text import END_OF_IF, is_comment, is_if, statement, unclosed
from sidecar.model import StoreError

_ANYTHING = r"(?:\^?(?:\.[*+]|\(\.[*+]\)|\[\^@\][*+]))?"
# How people write "the domain, perhaps with a sub-domain" behind the local part.
_STARTS = (
    "@", "[@.]", "[.@]", r"[@\.]", r"[\.@]", r"(@|\.)", r"(\.|@)", r"(?:@|\.)", r"(?:\.|@)", r"@(.*\.)?",
    r"@(.+\.)?", r"@(?:.*\.)?", r"@(?:.+\.)?", r"@(?:[^@]*\.)?", r"@([^@]*\.)?", r"@.*\.", r"@(.*\.)*",
)  # fmt: skip
_DOMAIN = r"(?P<domain>(?:[a-z0-9_-]+\\?\.)+[a-z0-9-]+)"
_ACTION = r"(?P<action>(?:REJECT|[45]\d\d)(?:\s.*)?)"
_PATTERN = re.compile(
    rf"/{_ANYTHING}(?:{'|'.join(map(re.escape, _STARTS))}){_DOMAIN}(?:\\\.\*)?\$/i?\s+{_ACTION}", re.I
)
# The form of a hash map, and of a plain list of domains.
_ENTRY = re.compile(rf"(?:[@.]|\*\.)?(?P<domain>(?:[\w-]+\.)+[\w-]+)(?:\s+{_ACTION})?", re.IGNORECASE)
_CODES = re.compile(r"(?:REJECT|[45]\d\d)\b\s*(?:[45]\.\d+\.\d+\s+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SimpleRule:
    """A rule that refuses one domain: its text, the number of its line, and the text of its action."""

    domain: str
    place: int
    reason: str
    lines: tuple[str, ...]


@dataclass
class ForeignMap:
    """A map in order: simple rules, and other lines. `unusable` are lines that no PCRE map can hold, by their
    number."""

    parts: list[SimpleRule | tuple[str, ...]] = field(default_factory=list)
    unusable: list[tuple[int, str]] = field(default_factory=list)


def require_pairs(lines: Sequence[str], name: str) -> None:
    """StoreError if an `if` or `endif` of a map has no partner."""
    if alone := unclosed(lines):
        raise StoreError(f"{name}:{alone}: if and endif do not pair up from here; complete the map first")


def read(lines: Sequence[str]) -> ForeignMap:
    """The rules of a map."""
    found = ForeignMap()
    place = 0
    while place < len(lines):
        end = statement(lines, place)
        part = lines[place:end]
        if rule := _simple(part, place + 1):
            found.parts.append(rule)
        elif _usable(part):
            found.parts.append(tuple(part))
        else:
            found.unusable += [(place + 1 + number, line) for number, line in enumerate(part)]
        place = end
    return found


def _simple(lines: Sequence[str], place: int) -> SimpleRule | None:
    if len(lines) > 1:
        return None
    text = lines[0].rstrip()
    matched = _PATTERN.fullmatch(text) or _ENTRY.fullmatch(text)
    if not matched:
        return None
    reason = _CODES.sub("", matched["action"] or "", count=1).replace("$$", "$")
    return SimpleRule(matched["domain"].replace("\\", ""), place, reason, tuple(lines))


def _usable(lines: Sequence[str]) -> bool:
    """Whether Postfix would take this for a rule: it begins with a delimiter, if or endif."""
    first = lines[0]
    if is_comment(first) or is_if(first) or END_OF_IF.match(first):
        return True
    return not (first[0].isspace() or first.lstrip("!").lstrip()[:1].isalnum())
