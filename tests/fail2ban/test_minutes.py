"""A date that is read from its minute is the date that is read whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.configuration import loading
from sidecar.fail2ban.dates.detector import DateDetector

# Monrovia's offset changed by 44.5 minutes, Lord Howe's changes by half an hour; the last one changes in the
# middle of a minute.
ZONES = [
    UTC, ZoneInfo("Europe/Zurich"), ZoneInfo("Africa/Monrovia"), ZoneInfo("Australia/Lord_Howe"),
    ZoneInfo("Asia/Kathmandu"), loading.zone("AAA-1BBB,M3.5.0/02:00:30,M10.5.0/03:00:30"),
]  # fmt: skip
FORMS = [
    ("%b %d %H:%M:%S", None),
    ("%Y-%m-%d %H:%M:%S,%f", None),
    ("%Y-%m-%d %H:%M:%S", ["%Y-%m-%d %H:%M:%S"]),
    ("%Y-%m-%d %H:%M:%S", ["^(%Y-%m-%d) %H:%M:%S"]),
    ("%d/%b/%Y:%H:%M:%S +0230", None),
    ("%b %d, %Y %I:%M:%S %p", None),
    ("%H:%M:%S", ["^%H:%M:%S"]),
    ("%S.%f %Y-%m-%d %H:%M", [r"%S\.%f %Y-%m-%d %H:%M"]),
]
EVENTS = [
    datetime(1972, 1, 7, 0, 0), datetime(2024, 2, 29, 23, 59), datetime(2026, 3, 29, 2, 0),
    datetime(2026, 10, 25, 2, 59), datetime(2026, 12, 31, 23, 59), datetime(2027, 1, 1, 0, 0),
    datetime(2026, 4, 5, 2, 0), datetime(2026, 10, 25, 3, 0), datetime(2026, 11, 28, 10, 0),
]  # fmt: skip
SECONDS = st.lists(st.integers(-70, 130).map(lambda s: s + 0.123456), min_size=2, max_size=30)


@given(
    st.sampled_from(EVENTS),
    SECONDS,
    st.sampled_from(ZONES),
    st.sampled_from(FORMS),
    st.sampled_from([0, 86400, -86400, 3600, 40 * 86400]),
    st.integers(-90, 90),
)
@example(datetime(2026, 11, 28, 10, 0), [1.0, 59.0, 2.0, 58.0], UTC, FORMS[0], -86400, 30)
@example(datetime(2026, 3, 29, 2, 0), [1.0, 2.0, 40.0, 50.0], ZONES[-1], FORMS[0], 86400, 0)
def test_dates_of_a_minute_are_read_as_each_alone(
    event: datetime,
    seconds: list[float],
    zone: ZoneInfo,
    form: tuple[str, list[str] | None],
    ahead: int,
    near: int,
) -> None:
    written, patterns = form
    now = event.replace(tzinfo=zone).timestamp() + ahead + near
    lines = [f"{event + timedelta(seconds=one):{written}} mail x: connect from y" for one in seconds]
    together = DateDetector(zone, patterns)
    assert [together.cut(line, now) for line in lines] == [
        DateDetector(zone, patterns).cut(line, now) for line in lines
    ]


def test_a_leap_second_and_short_seconds_are_read_whole() -> None:
    together = DateDetector(UTC)
    now = datetime(2026, 11, 28, tzinfo=UTC).timestamp()
    lines = [f"Nov 20 10:00:{second} mail x: y" for second in ("01", "02", "60", "03", "5", "04")]
    begin = datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp()
    assert [together.cut(line, now)[0] for line in lines] == [begin + s for s in (1, 2, 59, 3, 5, 4)]
