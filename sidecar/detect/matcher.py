"""The exact match: a candidate line is dated, and the failregexes of a jail say what happened."""

from __future__ import annotations

import re
from datetime import tzinfo
from functools import lru_cache
from typing import Any, NamedTuple

from sidecar.detect.lines import Lines
from sidecar.detect.session import Groups, Sessions
from sidecar.fail2ban.datepatterns import Template
from sidecar.fail2ban.dates import DateDetector
from sidecar.fail2ban.filters import FilterSpec
from sidecar.fail2ban.tags import HOST_GROUPS
from sidecar.model import Instant

# Longer lines are refused whole and counted: half a line could say something else than the line.
LONGEST_LINE = 16384
# A date is that of the next lines too, for so long.
_LATE = 60.0
_ALTERNATIVE = re.compile(r"(alt|tuple)_(.+?)(?:_?\d+)?")


class Outcome(NamedTuple):
    """What one filter says of one line: `regex` is the index of the failregex that matched, -1 for none.

    `matched`: it is a failure, and not only a part of a session. `text` is the line without its date,
    `lines` are all lines that led to the failure. `ignored` is the index of the ignoreregex, -1 for none.
    """

    regex: int
    host: str | None
    at: Instant | None
    groups: dict[str, Any]
    text: str = ""
    ignored: int = -1
    matched: bool = False
    lines: tuple[str, ...] = ()


class Matcher:
    """One filter over one log, line by line. Holds what it must remember between lines: the date's
    pattern, open sessions, and the last lines where several are matched together."""

    def __init__(self, spec: FilterSpec, zone: tzinfo) -> None:
        self._spec = spec
        self._dates = DateDetector(zone, list(spec.datepattern) or None)
        self._sessions = Sessions()
        self._last_at: Instant | None = None
        # Whether the prefregex matched the line before the failregexes were asked.
        self.prefixed = False
        self._lines = Lines(spec.maxlines) if spec.maxlines > 1 else None
        # A few ignoreregexes are cheaper than many failregexes, and are asked first then.
        self._ignore_first = 0 < len(spec.ignoreregex) < len(spec.failregex) - 2

    def at_zone(self, zone: tzinfo) -> None:
        """From now on dates that name no zone are read in this one."""
        self._dates.zone = zone

    def match(self, line: str, now: Instant, *, dated: bool = True) -> Outcome:
        """Match one decoded line without its newline; `now` resolves a date without a year.

        `dated` False: the line carries no date, all of it is text."""
        at, dateless = self._dates.cut(line, now) if dated else (None, line)
        if at is None and dated:
            at = self._remembered(now)
        self._last_at = at
        self.prefixed = False
        text = f"{dateless}\n"
        if self._lines is not None:
            text = self._lines.add(text, line)
        if self._ignore_first and (found := self._ignored(text)):
            return self._drop(found, Outcome(-1, None, at, {}, dateless))
        groups: Groups = {}
        if self._spec.prefregex:
            head = self._spec.prefregex.regex.search(text)
            self.prefixed = head is not None
            if head is None:
                return Outcome(-1, None, at, {}, dateless)
            groups = _over({}, head)
            text = groups.pop("content", None) or text
        for index, pattern in enumerate(self._spec.failregex):
            hit = pattern.regex.search(text)
            if hit is None:
                continue
            if ignored := self._ignored(text):
                return self._drop(ignored, Outcome(index, None, at, {}, dateless))
            taken = self._lines.take(hit) if self._lines is not None else [line]
            outcome = Outcome(index, None, at, _over(groups, hit), dateless, lines=tuple(taken))
            return self._judge(outcome, line, now if at is None else at)
        return Outcome(-1, None, at, {}, dateless)

    def _remembered(self, now: Instant) -> Instant | None:
        """A line without a date happens when the line before it did, if that is what the filter looks at or
        if it was just now."""
        last = self._last_at
        return last if last is not None and (self._lines is not None or last > now - _LATE) else None

    @property
    def template(self) -> Template | None:
        """The date pattern that fitted the line that was matched last, if it had a date."""
        return self._dates.template

    def hits(self, outcome: Outcome) -> tuple[list[int], list[int]]:
        """Every failregex that hits a line, and every ignoreregex that hits it each time one is asked, for
        who wants to know of all. Lines that are matched together show only what decided."""
        failed = [outcome.regex] if outcome.regex >= 0 and outcome.ignored < 0 else []
        passed = [outcome.ignored] if outcome.ignored >= 0 else []
        last = bool(failed) and outcome.regex == len(self._spec.failregex) - 1
        if self._lines is not None or last or not (failed or passed):
            return failed, passed
        text = f"{outcome.text}\n"
        if outcome.regex < 0:
            return [], self._ignoring(text)
        head = self._spec.prefregex.regex.search(text) if self._spec.prefregex else None
        text = (head.groupdict().get("content") if head else None) or text
        failed, passed = [], []
        for index, pattern in enumerate(self._spec.failregex):
            if index >= outcome.regex and pattern.regex.search(text):
                ignoring = self._ignoring(text)
                passed += ignoring
                failed += [] if ignoring else [index]
        return failed, passed

    def _ignoring(self, text: str) -> list[int]:
        return [index for index, pattern in enumerate(self._spec.ignoreregex) if pattern.regex.search(text)]

    def _ignored(self, text: str) -> tuple[int, re.Match[str]] | None:
        found = ((index, p.regex.search(text)) for index, p in enumerate(self._spec.ignoreregex))
        return next(((index, match) for index, match in found if match), None)

    def _drop(self, found: tuple[int, re.Match[str]], outcome: Outcome) -> Outcome:
        if self._lines is not None:
            self._lines.take(found[1])
        return outcome._replace(ignored=found[0])

    def _judge(self, outcome: Outcome, line: str, at: Instant) -> Outcome:
        """Whether a hit is a failure, and whose: by itself, or by the session that it belongs to."""
        groups = _merged(outcome.groups)
        if groups.get("mlfid"):
            told = self._sessions.add(groups, line, at)
            if told is None:
                return outcome._replace(groups=groups)
            groups, lines = told
            outcome = outcome._replace(lines=tuple(lines))
        elif groups.get("nofail"):
            return outcome._replace(groups=groups)
        host = _identity(groups)
        return outcome._replace(groups=groups, host=host, matched=True)


def _identity(groups: Groups) -> str | None:
    """Whom a match blames; an address with a prefix length is its network."""
    host = next((groups[name] for name in HOST_GROUPS if groups.get(name)), None)
    length = groups.get("cidr")
    return f"{host}/{length}" if host and length and "fid" not in groups else host


def _over(groups: Groups, found: re.Match[str]) -> Groups:
    """These groups, and over them those of a match that took part; an empty one replaces nothing."""
    laid = dict(groups)
    for name, value in found.groupdict().items():
        if value or (value is not None and name not in laid):
            laid[name] = value
    return laid


@lru_cache(maxsize=1024)
def _meant(name: str) -> tuple[str, str] | None:
    """`alt_user_1` means ("alt", "user"); None for a plain name."""
    found = _ALTERNATIVE.fullmatch(name)
    return (found.group(1), found.group(2)) if found else None


def _merged(groups: Groups) -> Groups:
    """Alternatives of a group fill it where it is empty; parts of a tuple are joined under its name."""
    merged = {name: value for name, value in groups.items() if _meant(name) is None}
    if len(merged) == len(groups):
        return merged
    for name in sorted(groups):
        meant = _meant(name)
        if meant is None:
            continue
        kind, target = meant
        if kind == "alt":
            merged[target] = merged.get(target) or groups[name]
        else:
            before = merged.get(target)
            first = before if isinstance(before, tuple) else () if before is None else (before,)
            merged[target] = (*first, groups[name])
    return merged
