"""Hostile lines are found in one pass, whatever engine searches, and however the log is cut into blocks."""

from __future__ import annotations

import time
from datetime import UTC

import pytest

from sidecar.detect.prefilter.multipattern import OneByOne, Text
from sidecar.fail2ban import filters
from sidecar.fail2ban.jails import JailSpec
from sidecar.review.patterns.hostile_lines import HostileLines
from sidecar.review.patterns.reading.log_forms import FORMS
from sidecar.review.patterns.reading.masking import masked, plain
from tests.review.patterns.logs import ATTACKS, NOW, TRUST, attacked, found, outside, reader


def text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def test_an_ordinary_line_with_a_second_date_is_no_hostile_line() -> None:
    """The engine reports such dates for the filters."""
    hostile = reader("zimbra.log")
    line = "Jan  5 10:00:01 mail postfix/smtpd[1]: connect from a 5/Jan/2026[203.0.113.7]"
    assert hostile.found(text([line] * 5), NOW) == [] and hostile.tally.hostile == 0


@pytest.mark.parametrize("name", ATTACKS)
def test_the_same_lines_are_found_without_hyperscan(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attack = ATTACKS[name]
    lines, _ = attacked(attack, quiet=200)
    fast, slow = reader(attack.log), reader(attack.log)
    monkeypatch.setattr(slow, "_engine", OneByOne([Text(one, True) for one in FORMS[fast._kind].marks]))
    assert {one.line for one in slow.found(text(lines), NOW)} == {
        one.line for one in fast.found(text(lines), NOW)
    }


def test_lines_are_found_in_blocks_of_any_size() -> None:
    lines, clients = attacked(ATTACKS["nginx.log"], quiet=300)
    hostile = reader("nginx.log")
    each = [one for line in lines for one in hostile.found(text([line]), NOW)]
    assert [one.line for one in each] == [one.line for one in found("nginx.log", lines)]
    assert {one.client for one in each} == set(clients) and all(one.weight == 1 for one in each)


def test_a_line_that_a_filter_ignores_or_finds_too_slow_is_no_hostile_line() -> None:
    lines, _ = attacked(ATTACKS["postfix, BSD dates"], quiet=0)
    ignoring, faults = filters.inline("reject: RCPT from .*<HOST>.* spam trap", "spam trap", usedns="no")
    assert faults == []
    jail = JailSpec("j", ignoring, ())
    assert HostileLines([jail], "zimbra.log", UTC, TRUST, outside).found(text(lines), NOW) == []
    assert len(HostileLines([], "zimbra.log", UTC, TRUST, outside).found(text(lines), NOW)) == 60


def test_lines_in_another_encoding_and_long_ones_are_survived() -> None:
    line = text(attacked(ATTACKS["postfix, BSD dates"], hostile=1, quiet=0)[0])
    data = (
        line.replace(b"spam trap", b"\xff\xfe spam trap")
        + line.replace(b"spam trap", b"x" * 20_000)
        + b"\0denied\n"
        + line[:-1]
    )
    assert len(reader("zimbra.log").found(data, NOW)) == 2


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "1.",
        ":",
        "a@",
        "<",
        ">",
        '"',
        "[",
        "]",
        "=",
        "a=",
        "1",
        "a1",
        " ",
        ", ",
        "\\",
        "a.b@",
        "0:",
        "<a",
        '"a',
        "([{",
    ],
)
def test_no_text_takes_long_to_mask(unit: str) -> None:
    begun = time.process_time()
    masked(plain((unit * 4000)[:4000]))
    assert time.process_time() - begun < 0.2
