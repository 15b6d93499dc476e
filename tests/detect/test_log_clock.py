"""The zone of a log, learnt from its own lines."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from sidecar.detect.log_clock import LogClock, offset

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC).timestamp()
KOLKATA = timezone(timedelta(hours=5, minutes=30))


def line(now: float, zone: timezone | ZoneInfo, late: float = 1.0) -> str:
    return datetime.fromtimestamp(now - late, zone).strftime("%b %d %H:%M:%S host x")


def test_three_live_lines_of_different_seconds_determine_the_zone() -> None:
    clock = LogClock(UTC, [])
    assert [clock.see(line(NOW + n, KOLKATA), NOW + n) for n in (0, 0.2, 1, 2)] == [False, False, False, True]
    assert clock.learnt == 19800
    assert clock.zone.utcoffset(None) == timedelta(hours=5, minutes=30)


def test_a_change_of_the_clocks_is_learnt_again() -> None:
    clock = LogClock(UTC, [], learnt=3600)
    summer = timezone(timedelta(hours=2))
    assert [clock.see(line(NOW + n, summer), NOW + n) for n in range(3)] == [False, False, True]
    assert clock.learnt == 7200


def test_the_hosts_zone_needs_no_learning_and_replaces_a_learnt_one() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    clock = LogClock(berlin, [])
    assert not any(clock.see(line(NOW + n, berlin), NOW + n) for n in range(5))
    assert clock.zone is berlin
    moved = LogClock(berlin, [], learnt=0)
    assert [moved.see(line(NOW + n, berlin), NOW + n) for n in range(3)] == [False, False, True]
    assert moved.zone is berlin


def test_dates_with_a_zone_and_late_lines_change_nothing() -> None:
    clock = LogClock(UTC, [])
    for n in range(9):
        assert not clock.see(f"2026-03-01T17:30:0{n}+05:30 host x", NOW + n)
        assert not clock.see(line(NOW + n, KOLKATA, late=300 + n), NOW + n)
        assert not clock.see("no date at all", NOW + n)


def test_contradictory_lines_change_nothing() -> None:
    clock = LogClock(UTC, [])
    zones = (KOLKATA, timezone(timedelta(hours=2)))
    assert not any(clock.see(line(NOW + n, zones[n % 2]), NOW + n) for n in range(20))


def test_the_last_line_and_the_mtime_of_a_log_give_a_first_guess() -> None:
    clock = LogClock(UTC, [])
    assert clock.guess(line(NOW, KOLKATA, late=0), NOW)
    assert clock.learnt == 19800
    assert not LogClock(UTC, [], learnt=3600).guess(line(NOW, KOLKATA, late=0), NOW)
    # A file that was copied: its last line is of another day.
    assert not LogClock(UTC, []).guess(line(NOW - 3 * 86400, KOLKATA), NOW)


@given(st.integers(-56, 56), st.floats(0, 29))
def test_every_quarter_hour_of_the_earth_is_found(quarters: int, late: float) -> None:
    assert offset(NOW - late + quarters * 900, NOW) == quarters * 900
