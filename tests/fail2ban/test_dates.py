"""The date of a line: found, converted and removed."""

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from sidecar.fail2ban.dates.datepatterns import DEFAULTS, Template
from sidecar.fail2ban.dates.detector import DateDetector
from sidecar.fail2ban.dates.moments import fixed_offset
from sidecar.model import ConfigError
from tests.fail2ban.outcome import is_cut_from

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC).timestamp()


def at(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("line", "expected", "rest"),
    [
        ("Feb  5 10:00:06 mail postfix/smtpd[1]: x", at(2026, 2, 5, 10, 0, 6), " mail postfix/smtpd[1]: x"),
        ("2026-02-28T11:58:36.591Z host x", at(2026, 2, 28, 11, 58, 36) + 0.591, " host x"),
        ("2024-10-31T12:38:21.817327+02:00 host x", at(2024, 10, 31, 10, 38, 21) + 0.817327, " host x"),
        ("2026-01-05 10:00:01,250 WARN  [q]", at(2026, 1, 5, 10, 0, 1) + 0.25, " WARN  [q]"),
        ("2026/01/05 10:00:03 [info] 1#1:", at(2026, 1, 5, 10, 0, 3), " [info] 1#1:"),
        (
            '203.0.113.7:4 - - [05/Jan/2026:10:00:11 +0000]  "GET',
            at(2026, 1, 5, 10, 0, 11),
            '203.0.113.7:4 - - []  "GET',
        ),
        ("1767607211 x", 1767607211.0, " x"),
    ],
)
def test_every_form_of_zimbras_logs_is_dated_and_cut(line: str, expected: float, rest: str) -> None:
    moment, text = DateDetector(UTC).cut(line, NOW)
    assert moment == pytest.approx(expected)
    assert text == rest


def test_a_date_without_a_year_takes_the_latest_year_that_is_not_over_a_day_ahead() -> None:
    detector = DateDetector(UTC)
    assert detector.cut("Dec 31 23:00:00 h", NOW)[0] == at(2025, 12, 31, 23)
    assert detector.cut("Mar  2 11:00:00 h", NOW)[0] == at(2026, 3, 2, 11)
    assert detector.cut("Mar  3 13:00:00 h", NOW)[0] == at(2025, 3, 3, 13)
    assert detector.cut("Feb 29 00:00:00 h", NOW)[0] == at(2024, 2, 29)


def test_a_date_without_a_zone_is_read_in_the_zone_of_the_log() -> None:
    moment, _ = DateDetector(ZoneInfo("Asia/Kolkata")).cut("2026-01-05 10:00:00,000 x", NOW)
    assert moment == at(2026, 1, 5, 4, 30)


def test_a_line_without_a_date_keeps_its_text() -> None:
    assert DateDetector(UTC).cut("\tat com.zimbra.x(Y.java:1)", NOW) == (None, "\tat com.zimbra.x(Y.java:1)")


def test_a_date_in_the_middle_of_a_client_s_text_is_not_taken_before_the_line_s_own() -> None:
    moment, _ = DateDetector(UTC).cut("Feb  5 10:00:06 h x 2020-01-01 00:00:00 y", NOW)
    assert moment == at(2026, 2, 5, 10, 0, 6)


def test_an_own_datepattern_replaces_the_list() -> None:
    detector = DateDetector(UTC, ["^%d.%m.%Y %H:%M:%S"])
    assert detector.cut("05.02.2026 10:00:06 x", NOW) == (at(2026, 2, 5, 10, 0, 6), " x")
    assert detector.cut("Feb  5 10:00:06 x", NOW)[0] is None


def test_a_datepattern_with_an_unknown_token_is_rejected() -> None:
    with pytest.raises(ConfigError, match="%Q"):
        DateDetector(UTC, ["%Q"])


def test_fixed_offsets_are_read_and_names_are_not() -> None:
    assert fixed_offset("UTC+0530").utcoffset(None) == fixed_offset("+05:30").utcoffset(None)
    with pytest.raises(ValueError):
        fixed_offset("Europe/Zurich")


DATES = st.sampled_from(
    ["Feb  5 10:00:06", "Feb 30 10:00:06", "2026-02-28T11:58:36.591Z", "2026/01/05 10:00:03", "05/Jan/2026:10:00:11 +0000",
     "1767607211", "@4000000037c219bf2ef02e94", "99/99/2026 99:99:99", "10:00:03", "0000-00-00 00:00:00"]
)  # fmt: skip


@given(st.lists(DATES | st.text(max_size=20), max_size=4).map("".join))
@example("1767607211 x")
def test_of_any_line_only_its_date_is_cut_and_a_line_without_one_is_whole(line: str) -> None:
    detector = DateDetector(UTC)
    moment, text = detector.cut(line, NOW)
    assert is_cut_from(text, line)
    # A date that does not exist, such as 30 February, is cut too.
    assert (text == line) == (detector.template is None)
    if moment is not None:
        cut = len(line) - len(text)
        # No date pattern is shorter than 10:00:03, and none longer than a weekday, a date and a zone.
        assert 8 <= cut <= 60
        assert math.isfinite(moment)
    # The same line is dated in the same way, also with the pattern and the position of the last line.
    assert detector.cut(line, NOW) == (moment, text)


@pytest.mark.parametrize("template", DEFAULTS, ids=lambda template: template.pattern)
def test_no_date_of_a_default_pattern_is_passed_over(template: Template) -> None:
    @given(st.from_regex(template.regex))
    def every_date(line: str) -> None:
        assume(template.regex.search(line))
        thorough = DateDetector(UTC)
        thorough._only_defaults = False
        assert DateDetector(UTC).cut(line, NOW) == thorough.cut(line, NOW) != (None, line)

    every_date()


def test_a_pattern_of_an_administrator_may_look_like_anything() -> None:
    assert DateDetector(UTC, ["^%Y/%m/%d"]).cut("2026/02/03 x", NOW) == (at(2026, 2, 3), " x")


def test_a_pattern_that_cuts_out_a_part_of_the_date_still_dates_each_line() -> None:
    detector = DateDetector(UTC, ["^(%Y-%m-%d) %H:%M:%S"])
    for hour in (10, 11, 12):
        assert detector.cut(f"2026-02-03 {hour}:00:01 x", NOW) == (
            at(2026, 2, 3, hour, 0, 1),
            f" {hour}:00:01 x",
        )
