"""Runs the whole corpus through zmban's matcher; prints a table by filter and each wrong line."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.conformance import corpus, counts, package
from tests.conformance.compare import Verdict, verdicts
from tests.conformance.corpus import Session

_ROW = "{:<28} {:<40} {:>7} {:>5} {:>8} {:>6} {:>5} {:>5}"
_TITLES = ("filter", "options", "records", "match", "no match", "right", "known", "wrong")


@dataclass(frozen=True, slots=True)
class Score:
    """The result of one session, or of all."""

    records: int
    match: int
    right: int
    known: int
    wrong: int

    @property
    def numbers(self) -> tuple[int, ...]:
        return (self.records, self.match, self.records - self.match, self.right, self.known, self.wrong)


def score(found: Iterable[Verdict]) -> Score:
    """Count the verdicts: right (as annotated), known (intended differences), wrong (others)."""
    every = list(found)
    right = sum(verdict.wrong is None for verdict in every)
    known = sum(verdict.wrong is not None and verdict.known for verdict in every)
    match = sum(verdict.record.match for verdict in every)
    return Score(len(every), match, right, known, len(every) - right - known)


def told(verdict: Verdict) -> str:
    """An entry of the report: file, options, difference, and the line itself."""
    record = verdict.record
    label = "known" if verdict.known else "wrong"
    wanted = "match" if record.match else "no match"
    expected = ", ".join(f"{key}={value}" for key, value in record.expected.items())
    where = f"{record.file}:{record.number} {verdict.session.text}"
    return (
        f"{label}: {where}: {wanted}{' ' + expected if expected else ''} expected: {verdict.wrong}\n"
        f"    {record.line[:240]}"
    )


def table(played: Iterable[tuple[Session, list[Verdict]]]) -> Iterator[str]:
    """The lines of the table, one per session, and the totals."""
    yield _ROW.format(*_TITLES)
    every: list[Verdict] = []
    for session, found in played:
        options = ", ".join(f"{key}={value}" for key, value in session.options.items())
        yield _ROW.format(session.filter, options, *score(found).numbers)
        every += found
    yield _ROW.format("total", "", *score(every).numbers)


def main() -> int:
    """0 if there are no differences except intended ones, and the corpus is complete."""
    begun = time.perf_counter()
    sessions = [session for name in corpus.filters() for session in corpus.sessions(name)]
    played = [(session, verdicts(session)) for session in sessions]
    taken = time.perf_counter() - begun
    print("\n".join(table(played)))
    wrong = [verdict for _, found in played for verdict in found if verdict.wrong is not None]
    print()
    for verdict in wrong:
        print(told(verdict))
    kinds = Counter(
        verdict.wrong.split(",")[0].split(":")[0] for verdict in wrong if verdict.wrong and not verdict.known
    )
    if kinds:
        print("\nkinds: " + "; ".join(f"{number} {kind}" for kind, number in kinds.most_common(12)))
    total = score(verdict for _, found in played for verdict in found)
    print(f"\nFail2Ban {package.version()}: {counts.count(sessions)}")
    print(
        f"{total.right} of {total.records} right, {total.known} differ on purpose, {total.wrong} wrong, {taken:.1f} s"
    )
    short = counts.shortfall(counts.count(sessions))
    if short:
        print(short)
    return 1 if total.wrong or short else 0


if __name__ == "__main__":
    sys.exit(main())
