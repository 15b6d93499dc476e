"""A new kind of attack in a log becomes a pattern with a failregex that finds exactly its lines and its clients."""

from __future__ import annotations

from datetime import UTC

import pytest

from sidecar.fail2ban import filters
from sidecar.offline.lines import regex_test
from sidecar.offline.lines.regex_test import ReadOptions
from sidecar.review.patterns.mined_pattern import MinedPattern
from sidecar.review.patterns.soundness import spec
from tests.review.patterns.logs import ATTACKS, NOW, TRUST, attacked, patterns


def only(found: list[MinedPattern]) -> MinedPattern:
    proposed = [one for one in found if one.failregex]
    assert len(proposed) == 1, [(one.template, one.why_not) for one in found]
    return proposed[0]


@pytest.mark.parametrize("name", ATTACKS)
def test_a_new_attack_is_the_only_pattern_with_a_failregex(name: str) -> None:
    attack = ATTACKS[name]
    lines, clients = attacked(attack)
    pattern = only(patterns(attack.log, lines))
    assert attack.words in pattern.template
    assert (pattern.log, pattern.count, pattern.clients) == (attack.log, 60, len(clients))
    assert pattern.first is not None and pattern.last is not None and pattern.first < pattern.last < NOW
    assert len(pattern.samples) == 10 and len({one.client for one in pattern.samples}) > 5


@pytest.mark.parametrize("name", ATTACKS)
def test_zmban_regex_finds_the_lines_of_the_attack_and_no_others(name: str) -> None:
    attack = ATTACKS[name]
    lines, clients = attacked(attack)
    pattern = only(patterns(attack.log, lines))
    options = ReadOptions(UTC, NOW, TRUST)
    results = list(regex_test.read(lines, spec(pattern.failregex, pattern.kind), options, attack.log))
    hits = [one for one in results if one.matched]
    assert len(hits) == 60 and {one.host for one in hits} == set(clients)
    assert all(attack.words.split("/")[-1] in one.line and one.time for one in hits)
    assert not any(one.framed for one in results)


def test_a_failregex_with_host_needs_no_other_file() -> None:
    """What a person copies onto the command line of `zmban regex` works as it is."""
    lines, clients = attacked(ATTACKS["postfix, ISO dates"])
    pattern = only(patterns("zimbra.log", lines))
    inline, faults = filters.inline(pattern.failregex, usedns="no")
    assert faults == []
    hits = [
        r for r in regex_test.read(lines, inline, ReadOptions(UTC, NOW, TRUST), "zimbra.log") if r.matched
    ]
    assert len(hits) == 60 and {one.host for one in hits} == set(clients)


def test_the_same_template_has_the_same_id_whatever_was_read_before() -> None:
    lines, _ = attacked(ATTACKS["nginx.access.log"])
    first = only(patterns("nginx.access.log", lines))
    second = only(patterns("nginx.access.log", reversed(lines)))
    assert first.id == second.id and first.failregex == second.failregex
    record = first.record()
    assert record["id"] == first.id and record["failregex"] == first.failregex and record["why_not"] is None


@pytest.mark.parametrize("name", ATTACKS)
def test_the_output_of_a_container_has_the_same_pattern(name: str) -> None:
    attack = ATTACKS[name]
    lines, clients = attacked(attack, quiet=50)
    prefixed = [f"zimbra-1  | {line}" for line in lines]
    pattern, same = only(patterns(attack.log, lines)), only(patterns(attack.log, prefixed))
    assert same.id == pattern.id and same.failregex == pattern.failregex
    filtered = spec(pattern.failregex, pattern.kind)
    hits = [
        r for r in regex_test.read(prefixed, filtered, ReadOptions(UTC, NOW, TRUST), attack.log) if r.matched
    ]
    assert len(hits) == 60 and {one.host for one in hits} == set(clients)
