"""Finds in a block of a log the hostile-looking lines of outside clients that no filter matches.

One Hyperscan pass finds the lines with a hostile word; no other line is touched. Of many such lines only some
are judged, evenly spread over each group of similar ones, and each then stands for `weight` lines: counts are
estimates for such groups, and exact for others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import NamedTuple, TypeAlias

from sidecar.detect.grammar import GRAMMARS, Trust, of_log
from sidecar.detect.match.matcher import LONGEST_LINE, Matcher, Outcome
from sidecar.detect.prefilter.multipattern import Engine, Text, engine
from sidecar.detect.prefilter.prefilter import Prefilter, Wanted
from sidecar.fail2ban.dates.detector import LineDates
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Instant
from sidecar.review.patterns import innocent
from sidecar.review.patterns.reading import dissection, log_forms
from sidecar.review.patterns.reading.dissection import Parts

# One line is judged for each 8 KiB that are read, and up to _BURST at once.
_BYTES_EACH, _BURST = 8192, 512
# Different groups of similar lines in one block.
_MOST_GROUPS = 256
# What tells groups apart: so many bytes behind the last hostile word, or at the beginning of a path. Of a
# request, the scheme of a URL ends before _SCHEME.
_BEHIND, _PATH, _SCHEME = 6, 8, 32
# After this many lines of a group that say nothing new, one of _EVERY is judged.
_DULL, _EVERY = 64, 8
_MOST_REMEMBERED = 4096
_Group: TypeAlias = tuple[int, bytes]
_Span: TypeAlias = tuple[int, int]
# Of small groups that are too many to be judged each.
_REST: _Group = 0, b""


class _Chosen(NamedTuple):
    """The place of a line that is judged, its group, and the number of lines that it stands for."""

    span: _Span
    group: _Group
    weight: int


class HostileLine(NamedTuple):
    """A hostile line of an outside client that stands for `weight` lines. `log` is the file name that chose
    the grammar, `at` the time in the line."""

    log: str
    line: str
    client: str
    at: Instant | None
    weight: int
    parts: Parts


@dataclass(slots=True)
class HostileTally:
    """Totals: lines with a hostile word, and how many of them were judged."""

    hostile: int = 0
    judged: int = 0


class HostileLines:
    """Finds the hostile lines of one log that none of `jails` matches, not even one that only reports.

    `log` is its path or file name; a log without a grammar has no hostile lines. `outside(client)` tells
    whether an address may be an attacker's: not one of our own, trusted or protected. `zone` is that of
    dates without a zone. `prefilter` may be an existing one of the same jails.
    """

    def __init__(
        self,
        jails: Sequence[JailSpec],
        log: str,
        zone: tzinfo,
        trust: Trust,
        outside: Callable[[str], bool],
        prefilter: Prefilter | None = None,
    ) -> None:
        self.tally = HostileTally()
        self._log, self._trust, self._outside = log.rpartition("/")[2], trust, outside
        self._kind = of_log(log) or ""
        form = log_forms.FORMS.get(self._kind, log_forms.NO_FORM)
        self._words, self._naming, self._by_path = form.words, form.naming, not form.words
        self._engine: Engine | None = engine([Text(w, True) for w in form.marks]) if form.marks else None
        self._marks = len(form.marks)
        self._jails = tuple(jails)
        self._prefilter = prefilter or (Prefilter.of(jails) if jails else None)
        zones = [jail.logtimezone or zone for jail in jails]
        here = next(iter(zones), zone)
        self._dates = LineDates(here, form.datepattern)
        # Shared by filters with the same zone and date patterns, so that a line is dated once.
        dates = {(here, form.datepattern): self._dates}
        self._matchers = []
        for jail, of_jail in zip(jails, zones, strict=True):
            key = of_jail, jail.filter.datepattern
            self._matchers.append(Matcher(jail.filter, of_jail, dates.setdefault(key, LineDates(*key))))
        self._credit = float(_BURST)
        # Per group: judged lines in a row that said nothing new, and lines that wait for one that is judged.
        self._dull: dict[_Group, int] = {}
        self._waiting: dict[_Group, int] = {}

    def found(self, data: bytes, now: Instant) -> list[HostileLine]:
        """The hostile lines of a block of whole lines. `now` resolves dates without a year."""
        if self._engine is None:
            return []
        self._credit = min(_BURST, self._credit + len(data) / _BYTES_EACH)
        groups = self._groups(data, self._engine)
        if not groups:
            return []
        found: list[HostileLine] = []
        for group, hostile in self._judged(data, self._chosen(groups), now):
            known = hostile is None or innocent.reason(hostile.parts)
            self._dull[group] = self._dull.get(group, 0) + 1 if known else 0
            if hostile is not None:
                found.append(hostile)
        return found

    def _chosen(self, groups: dict[_Group, list[_Span]]) -> list[_Chosen]:
        """The lines to judge, in the order of the block."""
        allowed = max(1, int(self._credit))
        chosen: list[_Chosen] = []
        # The smallest groups first, whose lines are new most likely; what they leave is for the others.
        ranked = sorted(_joined(groups, allowed).items(), key=lambda one: len(one[1]))
        for place, (group, spans) in enumerate(ranked):
            count = len(spans)
            stands = self._waiting.pop(group, 0) + count
            share = max(1, (allowed - len(chosen)) // (len(ranked) - place))
            if self._dull.get(group, 0) >= _DULL:
                share = min(share, stands // _EVERY)
            if taken := min(count, share):
                each = max(1, round(stands / taken))
                chosen += [_Chosen(spans[i * count // taken], group, each) for i in range(taken)]
            else:
                self._waiting[group] = stands
            self.tally.hostile += count
        if len(self._dull) > _MOST_REMEMBERED:
            self._dull.clear()
            self._waiting.clear()
        self.tally.judged += len(chosen)
        self._credit = max(0.0, self._credit - len(chosen))
        return sorted(chosen)

    def _groups(self, data: bytes, searched: Engine) -> dict[_Group, list[_Span]]:
        """The places of the lines with a hostile word, by their words and what tells them apart."""
        groups: dict[_Group, list[_Span]] = {}
        begin, stop, mask, last = 0, -1, 0, 0
        # The number of the engine's ODD_DATE.
        dates = self._marks

        def end_of_line() -> None:
            key = mask, _path(data, begin, stop) if self._by_path else data[last : min(last + _BEHIND, stop)]
            if key not in groups and len(groups) >= _MOST_GROUPS:
                key = mask, b""
            groups.setdefault(key, []).append((begin, stop))

        for end, number in searched.hits(data):
            if number == dates:
                continue
            if end > stop:
                if mask:
                    end_of_line()
                begin, stop, mask = data.rfind(b"\n", 0, end) + 1, data.find(b"\n", end), 0
                if stop < 0:
                    stop = len(data)
            mask |= 1 << number
            last = end
        if mask:
            end_of_line()
        return groups

    def _judged(
        self, data: bytes, chosen: list[_Chosen], now: Instant
    ) -> Iterator[tuple[_Group, HostileLine | None]]:
        """What each of these lines is, by group; None if it is not hostile or a filter matches it."""
        raws = [data[begin:stop] for (begin, stop), _, _ in chosen]
        wanted: dict[bytes, Wanted] = {}
        if self._prefilter is not None:
            wanted = dict(self._prefilter.candidates(b"\n".join(raws) + b"\n"))
        for one, raw in zip(chosen, raws, strict=True):
            hostile = None
            # Most other lines name no client, and to find this out by the grammar is slow.
            if len(raw) <= LONGEST_LINE and any(text in raw for text in self._naming):
                line = raw.rstrip(b"\r").decode("utf-8", "replace")
                if not self._matched(raw, line, wanted.get(raw, ()), now):
                    hostile = self._line(line, one.weight, now)
            yield one.group, hostile

    def _matched(self, raw: bytes, line: str, wanted: Wanted, now: Instant) -> bool:
        """Whether a filter matches this line; also if it ignores it, or its regex was too slow to tell."""
        for place, indexes in wanted:
            matcher, encoding = self._matchers[place], self._jails[place].logencoding
            # The same str object, which is not dated again.
            text = line if encoding == "utf-8" else raw.rstrip(b"\r").decode(encoding, "replace")
            told = matcher.blames(text, now, indexes)
            if matcher.slow or (
                told if not isinstance(told, Outcome) else told.regex >= 0 or told.ignored >= 0
            ):
                return True
        return False

    def _line(self, line: str, weight: int, now: Instant) -> HostileLine | None:
        at, text = self._dates.of(line, now)
        facts = GRAMMARS[self._kind].read(text, self._trust)
        # Logged in, failed through no fault of the client, or a mail server that we deal with.
        if facts is None or not facts.client or facts.good or facts.excused or facts.peer:
            return None
        if not self._outside(facts.client):
            return None
        parts = dissection.parts(self._kind, text, facts)
        if parts is None or not self._is_hostile(parts):
            return None
        return HostileLine(self._log, line, facts.client, at, weight, parts)

    def _is_hostile(self, parts: Parts) -> bool:
        """Whether a hostile word is among those of the server, not of the client."""
        spoken = dissection.spoken(parts)
        return not self._words or any(word in spoken for word in self._words)


def _path(data: bytes, begin: int, stop: int) -> bytes:
    """The beginning of the path of a request, which may be a whole URL."""
    quote = data.find(b'"', begin, stop)
    scheme = data.find(b"://", quote, quote + _SCHEME)
    slash = data.find(b"/", max(quote, scheme + 3), stop)
    if slash < 0:
        return b""
    end = min(slash + _PATH, stop)
    return data[slash:end].rpartition(b"/")[0] or data[slash:end]


def _joined(groups: dict[_Group, list[_Span]], allowed: int) -> dict[_Group, list[_Span]]:
    """The groups, the smaller ones joined if there are more than half of the lines that may be judged."""
    most = max(1, allowed // 2)
    if len(groups) <= most:
        return groups
    ranked = sorted(groups.items(), key=lambda one: -len(one[1]))
    rest = sorted(span for _, spans in ranked[most - 1 :] for span in spans)
    return {**dict(ranked[: most - 1]), _REST: rest}
