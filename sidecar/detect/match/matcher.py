"""Matches a candidate line exactly: finds its date, then applies the regexes of a filter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any, NamedTuple, TypeAlias

from sidecar.detect.match.groups import identity, meant, merged, over
from sidecar.detect.match.line_buffer import LineBuffer
from sidecar.detect.match.session import Groups, Sessions
from sidecar.detect.match.time_budget import WATCH, Overrun, Quarantine
from sidecar.fail2ban.dates.datepatterns import Template
from sidecar.fail2ban.dates.detector import LineDates
from sidecar.fail2ban.spec import FilterSpec, Pattern
from sidecar.fail2ban.syntax.tags import HOST_GROUPS
from sidecar.model import Instant

# Longer lines are refused whole and counted: a truncated line could match something else.
LONGEST_LINE = 16384
# A line without a date takes the date of the previous line if that is at most this many seconds ago.
_LATE = 60.0


class Outcome(NamedTuple):
    """The result of one filter for one line. `regex` is the index of the failregex that matched, -1 for none.

    `matched`: the line is a failure, not only part of a session. `text` is the line without its date, `lines`
    are all lines that led to the failure. `ignored` is the index of the ignoreregex that matched, or -1.
    """

    regex: int
    host: str | None
    at: Instant | None
    groups: dict[str, Any]
    text: str = ""
    ignored: int = -1
    matched: bool = False
    lines: tuple[str, ...] = ()


# Host, time, and the line without its date; None for a line that does not match.
Hit: TypeAlias = tuple[str | None, Instant | None, str] | None


class Matcher:
    """One filter over one log, line by line. Keeps state between lines: the date pattern, open sessions, and
    the last lines if `maxlines` is set.

    `dates` may be shared with other filters with the same date patterns. A regex that exceeds its time budget
    is aborted (`time_budget.py`): the line then does not match, and `slow` is set.
    """

    def __init__(self, spec: FilterSpec, zone: tzinfo, dates: LineDates | None = None) -> None:
        self._spec = spec
        self._dates = dates or LineDates(zone, spec.datepattern)
        self._sessions = Sessions()
        # Whether the prefregex matched the last line.
        self.prefixed = False
        self._lines = LineBuffer(spec.maxlines) if spec.maxlines > 1 else None
        # With few ignoreregexes and many failregexes, trying the former first is cheaper.
        self._ignore_first = 0 < len(spec.ignoreregex) < len(spec.failregex) - 2
        self._failing = [_Search(p, f"failregex {i + 1}") for i, p in enumerate(spec.failregex)]
        self._ignoring = [_Search(p, f"ignoreregex {i + 1}") for i, p in enumerate(spec.ignoreregex)]
        self._head = _Search(spec.prefregex, "prefregex") if spec.prefregex else None
        self._every = tuple(range(len(self._failing)))
        # Most filters only have simple failregexes, for which `blames` takes a shortcut.
        self._plain = not (self._ignoring or self._head or self._lines) and all(
            s.plain for s in self._failing
        )
        self.quarantine = Quarantine()
        # The regex that was in quarantine for the last line, or (`overran`) exceeded its time budget.
        self.slow: str | None = None
        self.overran = False

    def match(
        self, line: str, now: Instant, wanted: Sequence[int] | None = None, *, dated: bool = True
    ) -> Outcome:
        """Match one decoded line without its newline; `now` resolves a date without a year.

        `wanted`: indexes of the failregexes that can match, None for all. `dated` False: the line has no
        date.
        """
        self.prefixed, self.slow, self.overran = False, None, False
        at, dateless = None, line
        try:
            if dated:
                at, dateless = self._dated(line, now)
            return self._match(line, at, dateless, now, self._every if wanted is None else wanted)
        except Overrun:
            self.slow, self.overran = WATCH.name, True
        except _LeftOut as left:
            # Without its ignoreregex or prefregex the filter would match too much.
            self.slow = left.name
        return Outcome(-1, None, at, {}, dateless)

    def blames(self, line: str, now: Instant, wanted: Sequence[int]) -> Hit | Outcome:
        """As `match`, with a shortcut for plain filters that returns a Hit instead of an Outcome."""
        if not self._plain or self.quarantine.until:
            return self.match(line, now, wanted)
        self.slow, self.overran = None, False
        watch = WATCH
        watch.name = "datepattern"
        watch.serial += 1
        watch.searching = True
        try:
            at, dateless = self._dates.of(line, now)
            text = dateless + "\n"
            for index in wanted:
                search = self._failing[index]
                watch.name = search.name
                watch.serial += 1
                if hit := search.search(text):
                    watch.searching = False
                    search.hits += 1
                    break
            else:
                return None
        except Overrun:
            self.slow, self.overran = watch.name, True
            return None
        finally:
            watch.searching = False
        if at is None:
            at = self._late(now)
        return search.host(hit), at, dateless

    def when(self, line: str, now: Instant) -> Instant | None:
        """The time in a line, None if it has no date."""
        return self._dates.of(line, now)[0]

    def _late(self, now: Instant) -> Instant | None:
        """The time of a line without a date: that of the previous line if it is recent, else None."""
        before = self._dates.before
        return before if before is not None and before > now - _LATE else None

    def _dated(self, line: str, now: Instant) -> tuple[Instant | None, str]:
        WATCH.name = "datepattern"
        WATCH.serial += 1
        WATCH.searching = True
        try:
            at, dateless = self._dates.of(line, now)
        finally:
            WATCH.searching = False
        if at is None:
            # Lines that are matched together share one date.
            at = self._late(now) if self._lines is None else self._dates.before
        return at, dateless

    def _match(
        self, line: str, at: Instant | None, dateless: str, now: Instant, wanted: Sequence[int]
    ) -> Outcome:
        text = f"{dateless}\n"
        if self._lines is not None:
            text = self._lines.add(text, line)
        if self._ignore_first and (found := self._ignored(text, now)):
            return self._drop(found, Outcome(-1, None, at, {}, dateless))
        groups: Groups = {}
        if self._head is not None:
            self._available(self._head, now)
            head = self._head(text)
            self.prefixed = head is not None
            if head is None:
                return Outcome(-1, None, at, {}, dateless)
            groups = over({}, head)
            text = groups.pop("content", None) or text
        for index in wanted:
            search = self._failing[index]
            if self.quarantine.until and self.quarantine.holds(search.name, now):
                self.slow = search.name
                continue
            hit = search(text)
            if hit is None:
                continue
            if self._ignoring and (ignored := self._ignored(text, now)):
                return self._drop(ignored, Outcome(index, None, at, {}, dateless))
            search.hits += 1
            taken = tuple(self._lines.take(hit)) if self._lines is not None else (line,)
            groups = over(groups, hit)
            outcome = Outcome(index, None, at, groups, dateless, lines=taken)
            return self._judge(outcome, line, now if at is None else at)
        return Outcome(-1, None, at, {}, dateless)

    @property
    def matched(self) -> list[int]:
        """The number of lines that each failregex matched."""
        return [search.hits for search in self._failing]

    @property
    def template(self) -> Template | None:
        """The date pattern that matched the last line, None if it had no date."""
        return self._dates.detector.template

    def hits(self, outcome: Outcome) -> tuple[list[int], list[int]]:
        """The indexes of all failregexes that match a line, and of all ignoreregexes, repeated per suppressed
        failregex, for the report of `zmban regex`. With `maxlines` only the one that decided."""
        failed = [outcome.regex] if outcome.regex >= 0 and outcome.ignored < 0 else []
        passed = [outcome.ignored] if outcome.ignored >= 0 else []
        last = bool(failed) and outcome.regex == len(self._spec.failregex) - 1
        if self._lines is not None or last or not (failed or passed):
            return failed, passed
        try:
            return self._all_hits(outcome)
        except Overrun:
            return failed, passed

    def _all_hits(self, outcome: Outcome) -> tuple[list[int], list[int]]:
        text = f"{outcome.text}\n"
        if outcome.regex < 0:
            return [], self._all_ignoring(text)
        head = self._head(text) if self._head else None
        text = (head.groupdict().get("content") if head else None) or text
        failed: list[int] = []
        passed: list[int] = []
        for index, search in enumerate(self._failing):
            if index >= outcome.regex and search(text):
                ignoring = self._all_ignoring(text)
                passed += ignoring
                failed += [] if ignoring else [index]
        return failed, passed

    def _all_ignoring(self, text: str) -> list[int]:
        return [index for index, search in enumerate(self._ignoring) if search(text)]

    def _ignored(self, text: str, now: Instant) -> tuple[int, re.Match[str]] | None:
        for index, search in enumerate(self._ignoring):
            self._available(search, now)
            if found := search(text):
                return index, found
        return None

    def _available(self, search: _Search, now: Instant) -> None:
        if self.quarantine.until and self.quarantine.holds(search.name, now):
            raise _LeftOut(search.name)

    def _drop(self, found: tuple[int, re.Match[str]], outcome: Outcome) -> Outcome:
        if self._lines is not None:
            self._lines.take(found[1])
        return outcome._replace(ignored=found[0])

    def _judge(self, outcome: Outcome, line: str, at: Instant) -> Outcome:
        """Decide whether a hit is a failure, by itself or with its session, and find its host."""
        groups = merged(outcome.groups)
        if groups.get("mlfid"):
            failure = self._sessions.add(groups, line, at)
            if failure is None:
                return outcome._replace(groups=groups)
            groups, lines = failure
            outcome = outcome._replace(lines=tuple(lines))
        elif groups.get("nofail"):
            return outcome._replace(groups=groups)
        host = identity(groups)
        return outcome._replace(groups=groups, host=host, matched=True)


class _LeftOut(Exception):  # noqa: N818 - only caught above
    """A regex in quarantine was needed for this line."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Search:
    """One regex of a filter, under the time budget. `plain`: it has no special groups."""

    __slots__ = ("_hosts", "hits", "name", "plain", "search")

    def __init__(self, pattern: Pattern, name: str) -> None:
        self.search = pattern.regex.search
        self.name = name
        self.hits = 0
        groups = pattern.regex.groupindex
        odd = {"mlfid", "nofail", "cidr"} & set(groups)
        self.plain = not odd and not any(meant(group) for group in groups)
        self._hosts = [name for name in HOST_GROUPS if name in groups]

    def __call__(self, text: str) -> re.Match[str] | None:
        """As Pattern.search; raises Overrun if it exceeds the time budget."""
        WATCH.name = self.name
        WATCH.serial += 1
        WATCH.searching = True
        try:
            return self.search(text)
        finally:
            WATCH.searching = False

    def host(self, hit: re.Match[str]) -> str | None:
        """The host of a match of a plain regex."""
        for name in self._hosts:
            if host := hit[name]:
                return host
        return None
