"""Translates a filter's failregexes to ripgrep's syntax, for PCRE2 and for its own engine without lookarounds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from sidecar.fail2ban import filters
from sidecar.fail2ban.syntax.files import ConfigFiles


class Date(NamedTuple):
    """The date of a log as regex for ripgrep; filters match the line without the date. `hole`: the text that
    remains in the filter if the date is inside the line."""

    regex: str
    hole: str = ""


SYSLOG = Date(r"[A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2}")
LOG4J = Date(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2},\d{3}")
NGINX = Date(r"\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4}", r" \[\] ")
_LOOKS = ("(?=", "(?!", "(?<=", "(?<!")
# Leave out regexes that can never match, as zmban does.
_NEVER = "(?!)"


def failregexes(directory: Path, name: str) -> list[str]:
    """The failregexes of a filter as Python regexes, with `<HOST>` and all other tags replaced."""
    spec, faults = filters.load(ConfigFiles([directory]), name, {"usedns": "no"})
    errors = [fault for fault in faults if not fault.warning]
    if errors:
        raise ValueError(f"{name}: {errors[0]}")
    return [pattern.regex.pattern for pattern in spec.failregex if _NEVER not in pattern.regex.pattern]


def pcre(regex: str, date: Date) -> str:
    """The same regex for a line with its date."""
    hole = date.hole or "^"
    if regex.count(hole) < 1 or (hole == "^" and not regex.startswith("^")):
        raise ValueError(f"{regex!r}: where would the date stand?")
    filled = hole.replace(r"\[\]", rf"\[{date.regex}\]") if date.hole else f"^{date.regex}"
    return _anonymous(regex.replace(hole, filled, 1))


def rust(regex: str, date: Date) -> str:
    """The same without lookarounds: matches at least what the regex matches."""
    return without_looks(pcre(regex, date))


def _anonymous(regex: str) -> str:
    """Remove the names of groups, which counting does not need."""
    return re.sub(r"\(\?P<\w+>", "(?:", regex)


def without_looks(regex: str) -> str:
    """Remove all lookaheads and lookbehinds."""
    kept, at = "", 0
    while at < len(regex):
        if regex.startswith(_LOOKS, at):
            at = _behind(regex, at)
            continue
        step = _atom(regex, at)
        kept += regex[at:step]
        at = step
    return kept


def _atom(regex: str, at: int) -> int:
    """The index behind the escape, class or character at this index."""
    if regex[at] == "\\":
        return at + 2
    if regex[at] != "[":
        return at + 1
    # A closing bracket at the start of a class is a literal.
    at += 2 if regex[at + 1] == "^" else 1
    at += regex[at] == "]"
    while regex[at] != "]":
        at += 2 if regex[at] == "\\" else 1
    return at + 1


def _behind(regex: str, at: int) -> int:
    """The index behind the group that opens at this index."""
    depth = 0
    while True:
        depth += {"(": 1, ")": -1}.get(regex[at], 0)
        at = _atom(regex, at)
        if not depth:
            return at
