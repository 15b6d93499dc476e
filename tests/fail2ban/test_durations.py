"""Time values of Fail2Ban's files."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.fail2ban.syntax.durations import length, seconds
from sidecar.model import LONGEST


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", 600),
        ("1d12h", 129600),
        ("1y6mo", 47336400),
        ("1.5h", 5400),
        ("1mo", 2629800),
        ("0d 1h 30m", 5400),
        ("1M", 60),
        ("-1", -1),
        ("60*60", 3600),
        ("1hour+30min", 5400),
        ("1year-6mo", 15778800),
        ("360000000", 360000000),
        ("1d-12h", 43200),
        ("1_000", 1000),
        ("(1d+2h)*3", 280800),
        ("1h30", 3630),
    ],
)
def test_a_time_value_is_read_as_fail2ban_reads_it(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "5 # five",
        "()",
        "1;2",
        "__import__('os')",
        "2**99999",
        "1/0",
        "1x",
        "1000000000000000000000y" * 9,
    ],
)
def test_anything_else_is_refused_and_never_evaluated(text: str) -> None:
    with pytest.raises(ValueError):
        seconds(text)


@given(st.text(max_size=40))
def test_no_text_does_more_than_give_a_number_or_a_refusal(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(seconds(text), float)


@pytest.mark.parametrize(
    "text", ["--1", "+-5", "1--1", "1d*-1", "1 000", "60 60", "(600)12", "1e3", "01h", "100/1h"]
)
def test_what_can_be_meant_in_two_ways_is_refused(text: str) -> None:
    """Python, and so Fail2Ban, makes 1 of --1 and of 1 000, where somebody meant for ever and a thousand."""
    with pytest.raises(ValueError, match="no time value"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10m", 600), ("1d12h", 129600), ("1d 12h", 129600), (" 600 ", 600), ("1.5h", 5400), ("100y", LONGEST)],
)
def test_a_command_is_told_how_long_in_numbers_with_units(text: str, expected: float) -> None:
    assert length(text) == expected == seconds(text)


@pytest.mark.parametrize(
    "text",
    ["", "-1", "--1", "1d-12h", "1_000", "+5", "60*60", "(5)", "1d 12", "0", "0s", "101y", "9" * 150, "\u0661m", "10m\n5m;",
     "1e9", "inf", "nan", "10m" * 99],
)  # fmt: skip
def test_a_command_takes_nothing_else(text: str) -> None:
    with pytest.raises(ValueError):
        length(text)


@given(st.text(alphabet="0123456789.+-*/() _ydhmsowe", max_size=20))
def test_whatever_a_command_takes_is_positive_bounded_and_the_same_in_a_file(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert 0 < length(text) <= LONGEST
        with contextlib.suppress(ValueError):
            assert seconds(text) == pytest.approx(length(text))
