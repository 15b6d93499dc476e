"""The prefilter loses no line that a stock filter matches: the whole corpus, and fuzzed lines."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC

import pytest

from sidecar.detect.match.matcher import Matcher
from sidecar.detect.prefilter import multipattern
from sidecar.detect.prefilter.prefilter import Prefilter
from sidecar.fail2ban.spec import FilterSpec
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.host import regex_budget
from sidecar.offline.lines import regex_test
from tests.conformance import compare, corpus
from tests.conformance.test_corpus import names

pytestmark = pytest.mark.conformance

# Number of fuzzed lines per filter; they are always the same.
FUZZED = 500
NOW = 1_772_366_400.0
# Text that a mutation inserts: dates, other letters, and input that is difficult for a decoder or a scanner.
PIECES = (
    "Feb  5 10:00:06", "2026-02-05T10:00:06.123+00:00", " 5/Feb/2026 10:00:06", " 5-2-26 10:00:06", "[05/Feb/2026:10:00:06 +0000]",
    "1772366400", "@4000000037c219bf2ef02e94", "K", "\u017f", "\u0130", "\ufffd", "é", "\0", "\t", " ", "  ", ":", "]", "/", "-",
)  # fmt: skip


def specs(name: str) -> Iterator[tuple[corpus.Session, FilterSpec]]:
    for session in corpus.sessions(name):
        yield session, regex_test.target(ConfigFiles([compare.directory(session)]), session.text, {}).spec


def missed(spec: FilterSpec, lines: Sequence[str], prefilter: Prefilter, *, dated: bool) -> list[str]:
    """The lines that a failregex matches and the prefilter does not report."""
    wrong: list[str] = []
    matcher = Matcher(spec, UTC)
    for line in lines:
        outcome = matcher.match(line, NOW, dated=dated)
        if outcome.regex < 0 or not line:
            continue
        found = prefilter.candidates(line.encode("utf-8", "replace") + b"\n")
        if not any(outcome.regex in indexes for _, wanted in found for _, indexes in wanted):
            wrong.append(line)
    return wrong


def mutated(lines: Sequence[str], chance: random.Random) -> str:
    line = chance.choice(lines)
    for _ in range(chance.randint(1, 3)):
        place = chance.randint(0, len(line))
        other = chance.choice(lines)
        line = chance.choice((
            line[:place] + chance.choice(PIECES) + line[place:],
            line[:place] + line[place + chance.randint(1, 4) :],
            line[:place] + other[chance.randint(0, len(other)) :],
            line[:place] + line[place:].swapcase(),
        ))  # fmt: skip
    return line.replace("\n", " ")


@pytest.mark.parametrize("engine", [multipattern.Hyperscan, multipattern.OneByOne])
@pytest.mark.parametrize("name", names())
def test_no_line_that_a_stock_filter_matches_is_missed(
    name: str, engine: type[multipattern.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.detect.prefilter.prefilter.engine", engine)
    chance = random.Random(name)
    for session, spec in specs(name):
        prefilter = Prefilter([spec])
        lines = [record.line for record in session.records]
        fuzzed = [mutated(lines, chance) for _ in range(FUZZED // len(corpus.sessions(name)) + 1)]
        # With some mutated lines, a stock regex backtracks practically without end.
        with regex_budget.limited():
            assert not missed(spec, [*lines, *fuzzed], prefilter, dated=not session.journal)


def test_all_stock_filters_together_miss_nothing_either() -> None:
    found = [(session, spec) for name in names() for session, spec in specs(name)]
    prefilter = Prefilter([spec for _, spec in found])
    for place, (session, spec) in enumerate(found):
        for record in session.records:
            outcome = Matcher(spec, UTC).match(record.line, NOW, dated=not session.journal)
            if outcome.regex >= 0 and record.line:
                candidates = prefilter.candidates(record.line.encode("utf-8", "replace") + b"\n")
                assert any(outcome.regex in dict(wanted).get(place, ()) for _, wanted in candidates), (
                    record.line
                )
