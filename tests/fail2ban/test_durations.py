"""Time values of Fail2Ban's files."""

import contextlib
import re

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
def test_anything_else_is_rejected_and_never_evaluated(text: str) -> None:
    with pytest.raises(ValueError):
        seconds(text)


UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "hours": 3600, "d": 86400, "w": 604800}


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(sorted(UNITS))), min_size=1, max_size=5))
def test_values_with_units_are_added(terms: list[tuple[int, str]]) -> None:
    for between in ("", " "):
        text = between.join(f"{number}{between}{unit}" for number, unit in terms)
        assert seconds(text) == sum(number * UNITS[unit] for number, unit in terms)


@given(st.text(max_size=40))
def test_a_text_without_a_digit_is_no_time_value(text: str) -> None:
    # Digits of other scripts are none.
    if not re.search("[0-9]", text):
        with pytest.raises(ValueError, match="is not a time value"):
            seconds(text)


@pytest.mark.parametrize(
    "text", ["--1", "+-5", "1--1", "1d*-1", "1 000", "60 60", "(600)12", "1e3", "01h", "100/1h"]
)
def test_an_ambiguous_time_value_is_rejected(text: str) -> None:
    """Python, and so Fail2Ban, reads --1 and 1 000 as 1, where -1 (for ever) and a thousand are meant."""
    with pytest.raises(ValueError, match="not a time value"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10m", 600), ("1d12h", 129600), ("1d 12h", 129600), (" 600 ", 600), ("1.5h", 5400), ("100y", LONGEST)],
)
def test_a_duration_on_the_command_line_has_numbers_with_units(text: str, expected: float) -> None:
    assert length(text) == expected == seconds(text)


@pytest.mark.parametrize(
    "text",
    ["", "-1", "--1", "1d-12h", "1_000", "+5", "60*60", "(5)", "1d 12", "0", "0s", "101y", "9" * 150, "\u0661m", "10m\n5m;",
     "1e9", "inf", "nan", "10m" * 99],
)  # fmt: skip
def test_the_command_line_accepts_nothing_else(text: str) -> None:
    with pytest.raises(ValueError):
        length(text)


@given(st.text(alphabet="0123456789.+-*/() _ydhmsowe", max_size=20))
def test_any_duration_of_the_command_line_is_positive_bounded_and_the_same_in_a_file(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert 0 < length(text) <= LONGEST
        with contextlib.suppress(ValueError):
            assert seconds(text) == pytest.approx(length(text))
