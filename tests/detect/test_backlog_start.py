"""Finding the start of a backlog in a log by bisection."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.detect import backlog_start
from sidecar.detect.backlog_start import first_since


def when(raw: bytes) -> float | None:
    return float(raw[:10]) if raw[:10].isdigit() else None


def first(lines: list[bytes], since: float) -> int:
    return first_since(io.BytesIO(b"".join(lines)), since, when)


@pytest.fixture(autouse=True)
def _near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_start, "_NEAR", 64)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3), st.integers(0, 90)), max_size=60),
    st.integers(0, 1500),
)
def test_all_lines_since_a_time_are_read_and_few_older_ones(
    steps: list[tuple[int, int, int]], since: float
) -> None:
    lines, at, offset, expected, longest = [], 0, 0, None, 0
    for step, trace, width in steps:
        at += step
        longest = max(longest, len(b"%010d %s\n" % (at, b"x" * width)) + trace * len(b"\tat java\n"))
        for line in [b"%010d %s\n" % (at, b"x" * width), *[b"\tat java\n"] * trace]:
            if at >= since and expected is None:
                expected = offset
            lines.append(line)
            offset += len(line)
    looked: list[bytes] = []
    found = first_since(io.BytesIO(b"".join(lines)), since, lambda raw: looked.append(raw) or when(raw))  # type: ignore[func-returns-value]
    expected = offset if expected is None else expected
    assert expected - backlog_start._NEAR - 2 * longest <= found <= expected
    # A halving reads one line with a date and the trace before it.
    assert len(looked) <= 5 * max(1, offset // backlog_start._NEAR).bit_length()
    assert found == 0 or b"".join(lines)[found - 1 : found] == b"\n"


def test_a_day_in_a_log_of_weeks_is_found_by_reading_few_lines() -> None:
    looked: list[bytes] = []
    log = io.BytesIO(b"".join(b"%010d line\n" % n for n in range(100_000)))
    found = first_since(log, 90_000, lambda raw: looked.append(raw) or when(raw))  # type: ignore[func-returns-value]
    assert 89_990 * 16 <= found <= 90_000 * 16
    assert len(looked) < 40


def test_a_log_without_dates_is_read_from_its_beginning() -> None:
    assert first([b"no date\n"] * 1000, 5.0) == 0


def test_an_empty_log_begins_at_its_beginning() -> None:
    assert first([], 5.0) == 0
