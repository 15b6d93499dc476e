"""Matches the lines of a log: a long one in a process of its own, while this one decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

from sidecar.detect.prefilter.prefilter import Sifted
from sidecar.detect.scanner import Scanner
from sidecar.host import regex_budget
from sidecar.model import Instant, LineFacts, Match, Refused, Slow
from sidecar.offline.scan.forked import Workers

Told: TypeAlias = tuple[Instant, Match | Refused]

# Few candidates at a time, so that another process does not wait for the first ones.
_AT_ONCE = 2000


class Matched(NamedTuple):
    """What some lines of a log led to: each match and refusal, with the latest time in the log up to it.

    `lines` and `bytes` were read for it; `slow` are jail and regex of each aborted search.
    """

    told: list[Told]
    lines: int
    bytes: int
    slow: list[tuple[str, str]]


def matched(scanner: Scanner, log: Iterable[Sifted], now: Instant) -> Iterator[Matched]:
    """Match the candidate lines of a log, some at a time."""
    latest = 0.0
    for sifted in log:
        lines, size = sifted.lines, sifted.bytes
        for begin in range(0, len(sifted.candidates) or 1, _AT_ONCE):
            some = Sifted(lines, size, sifted.candidates[begin : begin + _AT_ONCE])
            found = Matched([], lines, size, [])
            for told in scanner.match(some, now):
                if isinstance(told, Slow):
                    found.slow.append((told.jail, told.regex))
                    continue
                # The merge needs sorted times: a late line is merged where it occurs, but counts at its own
                # time.
                if told.at is not None and told.at > latest:
                    latest = told.at
                found.told.append((latest, told))
            yield found
            lines = size = 0


def matched_apart(
    scanner: Scanner, log: Callable[[Workers], Iterable[Sifted]], now: Instant
) -> Iterator[Matched]:
    """As `matched`, in a process of its own. `log` is called first, to start the processes that it needs."""
    with Workers() as workers:
        sifted = log(workers)

        def work(_: int) -> Iterator[Any]:
            with regex_budget.limited():
                yield from map(_packed, matched(scanner, sifted, now))

        yield from map(_unpacked, workers.in_turn(scanner.path, 1, work))


# Named tuples are packed as plain ones, which takes a third of the time.
def _packed(found: Matched) -> tuple[Any, ...]:
    rows = []
    for latest, one in found.told:
        facts = one.facts if isinstance(one, Match) else None
        plain = (*facts[:7], dict(facts.fields), *facts[8:]) if facts is not None else None
        rows.append((latest, isinstance(one, Match), one[:5] if isinstance(one, Match) else one[:], plain))
    return (rows, *found[1:])


def _unpacked(packed: tuple[Any, ...]) -> Matched:
    new = tuple.__new__
    told: list[Told] = [
        (latest, new(Match, (*fields, facts and new(LineFacts, facts))) if is_match else new(Refused, fields))
        for latest, is_match, fields, facts in packed[0]
    ]
    return Matched(told, *packed[1:])
