"""Time values of Fail2Ban's files."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.fail2ban.durations import seconds


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
    ],
)
def test_a_time_value_is_read_as_fail2ban_reads_it(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "abc", "5 # five", "()", "1;2", "__import__('os')", "2**99999", "1/0", "1x"]
)
def test_anything_else_is_refused_and_never_evaluated(text: str) -> None:
    with pytest.raises(ValueError):
        seconds(text)


@given(st.text(max_size=40))
def test_no_text_does_more_than_give_a_number_or_a_refusal(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(seconds(text), float)
