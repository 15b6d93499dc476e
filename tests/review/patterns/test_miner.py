"""The miner groups lines, in bounded memory, and its state can be stored and joined."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from sidecar.model import ConfigError
from sidecar.review.patterns.distinct_clients import DistinctClients
from sidecar.review.patterns.hostile_lines import HostileLine
from sidecar.review.patterns.miner import PatternMiner
from sidecar.review.patterns.reading.dissection import Parts
from tests.review.patterns.logs import ATTACKS, NOW, attacked, attackers, found, mined, patterns, reader

_REJECT = (
    "Jan  5 10:00:01 mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[{}]: 554 5.7.1 {}; from=<a@example.net> "
    "to=<b@example.com> proto=ESMTP helo=<x>"
)


def line(client: str, *words: str, log: str = "zimbra.log", weight: int = 1) -> HostileLine:
    """A hostile line with these words."""
    parts = Parts("zimbra", ("smtpd", "warning: "), words)
    return HostileLine(log, f"{client} {words}", client, NOW, weight, parts)


def test_words_that_differ_are_masked_and_words_in_common_are_kept() -> None:
    rejects = [_REJECT.format(c, f"Policy no{i}x-{i} refused the mail") for i, c in enumerate(attackers(20))]
    (pattern,) = patterns("zimbra.log", rejects)
    assert (
        pattern.template
        == "postfix/smtpd: *: reject: RCPT from CLIENT: 554 5.7.1 Policy * refused the mail; ..."
    )
    assert pattern.count == 20 and r"Policy \S{0,1000} refused the mail" in pattern.failregex


def test_lines_of_other_reply_codes_are_other_patterns() -> None:
    text = "Mail refused by a rule of ours"
    one = [_REJECT.format(client, text) for client in attackers(9)]
    other = [each.replace("554 5.7.1", "550 5.7.0") for each in one]
    assert [found.count for found in patterns("zimbra.log", [*one, *other])] == [9, 9]


def test_repetitions_that_syslog_joined_are_of_the_same_pattern() -> None:
    one = [_REJECT.format(client, "Mail refused by a rule of ours") for client in attackers(9)]
    joined = [each.replace("[1]: ", "[1]: message repeated 2 times: [ ") + "]" for each in one]
    (pattern,) = patterns("zimbra.log", [*one, *joined])
    assert pattern.count == 18 and pattern.failregex


def test_fewer_than_three_lines_are_no_pattern() -> None:
    assert patterns("zimbra.log", [_REJECT.format("203.0.113.7", "Mail refused by a rule of ours")] * 2) == []


def test_secrets_are_cut_from_samples() -> None:
    lines, _ = attacked(ATTACKS["nginx.access.log"], quiet=0)
    secret = [one.replace("?lang=", "?auth_token=s3cr3t") for one in lines]
    (pattern,) = patterns("nginx.access.log", secret)
    assert pattern.failregex and "s3cr3t" not in json.dumps(pattern.record())
    assert "s3cr3t" not in json.dumps(mined("nginx.access.log", secret).dumped())


def test_a_stored_miner_goes_on_where_it_stopped() -> None:
    lines, _ = attacked(ATTACKS["postfix, BSD dates"], quiet=0)
    miner = mined("zimbra.log", lines[:30])
    again = PatternMiner.loaded(json.loads(json.dumps(miner.dumped())))
    assert again.patterns() == miner.patterns()
    again.add(found("zimbra.log", lines[30:]))
    (whole,), (later,) = patterns("zimbra.log", lines), again.patterns()
    assert (later.id, later.count, later.clients) == (whole.id, whole.count, whole.clients)
    assert later.failregex == whole.failregex


def test_two_miners_are_joined_and_stay_as_they_are() -> None:
    lines, clients = attacked(ATTACKS["nginx.log"], quiet=0)
    one, other = mined("nginx.log", lines[:25]), mined("nginx.log", lines[25:])
    before = one.dumped()
    (joined,) = one.joined(other).patterns()
    assert (joined.count, joined.clients) == (60, len(clients))
    assert one.dumped() == before and one.joined(PatternMiner()).patterns() == one.patterns()


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"version": 2},
        {"version": 1, "dropped": 0, "logs": {"x": [{"head": 1}]}},
        {"version": 1, "dropped": 0, "logs": 3},
        {
            "version": 1,
            "dropped": 0,
            "logs": {"x": [{"kind": "zimbra", "head": ["x", ""], "words": [], "count": 9, "clients": ""}]},
        },
    ],
)
def test_something_else_than_a_state_is_refused_with_the_cure(record: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="delete it"):
        PatternMiner.loaded(record)


def test_a_busy_log_does_not_hide_another() -> None:
    miner = PatternMiner()
    for number in range(40):
        busy = Parts("zimbra", ("smtpd", f"warning {chr(65 + number)}: "), ("refused",))
        miner.add([line("203.0.113.1", log="busy.log", weight=1000)._replace(parts=busy)])
    miner.add([line("203.0.113.2", "rare", log="quiet.log")] * 3)
    assert "quiet.log" in {one.log for one in miner.patterns(2)}
    assert len(miner.patterns(5)) == 5


def test_clients_are_counted_exactly_up_to_a_thousand_and_estimated_beyond() -> None:
    counted = DistinctClients()
    for number in range(999):
        counted.add(f"client {number % 500}")
        counted.add(f"client {number}")
    assert len(counted) == 999
    other = DistinctClients()
    for number in range(500, 20_000):
        other.add(f"client {number}")
    counted.join(other)
    assert abs(len(counted) - 20_000) < 3000
    assert len(DistinctClients.loaded(counted.dumped())) == len(counted)


def test_lines_that_all_differ_take_bounded_memory_and_time() -> None:
    miner = PatternMiner()
    begun = time.process_time()
    for number in range(20_000):
        words = [f"w{number * 7919 % 10007}-{i}" for i in range(number % 40)]
        head = Parts("zimbra", ("smtpd", f"warning {number % 1500}: "), tuple(words))
        miner.add([HostileLine("zimbra.log", "x" * 5000, f"203.0.113.{number % 250}", None, 1, head)])
    took = time.process_time() - begun
    state = miner.dumped()
    assert len(state["logs"]["zimbra.log"]) <= 500
    assert sum(one["count"] for one in state["logs"]["zimbra.log"]) + state["dropped"] == 20_000
    assert len(json.dumps(state)) < 20_000_000
    assert took < 20


def test_one_head_with_all_kinds_of_words_becomes_one_template() -> None:
    miner = PatternMiner()
    for number in range(3000):
        words = tuple("".join(chr(97 + (number * (i + 3)) % 26) * 3) + str(i) for i in range(number % 50 + 1))
        miner.add([line(f"203.0.113.{number % 250}", *words)])
    assert len(miner.dumped()["logs"]["zimbra.log"]) <= 64


def test_a_flood_of_hostile_lines_is_judged_in_part_and_counted_in_whole() -> None:
    lines, clients = attacked(ATTACKS["postfix, BSD dates"], hostile=30_000, quiet=0)
    rare = [one.replace("spam trap was hit", "refused, an attack") for one in lines[:40]]
    data = "".join(f"{one}\n" for one in [*lines[:20_000], *rare, *lines[20_000:]]).encode()
    hostile = reader("zimbra.log")
    miner = PatternMiner()
    miner.add(hostile.found(data, NOW))
    assert hostile.tally.hostile == 30_040 and hostile.tally.judged <= 600
    common, seldom = miner.patterns()
    assert abs(common.count - 30_000) < 300 and seldom.count == 40
    assert common.clients == len(clients) and common.failregex and seldom.failregex


def test_a_log_without_a_grammar_has_no_hostile_lines(tmp_path: Path) -> None:
    assert found(str(tmp_path / "other.log"), [_REJECT.format("203.0.113.7", "refused")] * 5) == []


def test_a_long_line_is_shown_in_part_and_gets_no_failregex() -> None:
    rejects = [_REJECT.format(c, f"Mail refused by a rule of ours: {'x' * 3000}") for c in attackers(9)]
    (pattern,) = patterns("zimbra.log", rejects)
    assert not pattern.failregex and "longer" in pattern.why_not
    assert all(len(one.line) == 2000 for one in pattern.samples)
