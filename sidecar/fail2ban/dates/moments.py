"""Converts the parts of a date to an instant; missing parts are taken from the current time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

from sidecar.fail2ban.dates.datepatterns import MONTHS, WEEKDAYS
from sidecar.model import Instant

Parts = Mapping[str, str | None]
# A date without a year takes the latest year for which it is at most this far ahead.
_AHEAD = timedelta(hours=24)
# TAI64 label of 1970. The offset of TAI to UTC is not subtracted, as in Fail2Ban.
_TAI_ORIGIN = 1 << 62
_OFFSET = re.compile(r"([A-Z]{1,5})?(?:([+-])(\d{1,2})(?::?(\d{2}))?)?", re.IGNORECASE)
# Unambiguous zone abbreviations, in hours.
_ABBREVIATIONS = {
    "Z": 0.0, "UTC": 0.0, "GMT": 0.0, "WET": 0.0, "WEST": 1.0, "CET": 1.0, "CEST": 2.0, "MEZ": 1.0,
    "MESZ": 2.0, "EET": 2.0, "EEST": 3.0, "MSK": 3.0, "MSD": 4.0, "AST": -4.0, "ADT": -3.0, "EST": -5.0,
    "EDT": -4.0, "CST": -6.0, "CDT": -5.0, "MST": -7.0, "MDT": -6.0, "PST": -8.0, "PDT": -7.0,
    "AKST": -9.0, "AKDT": -8.0, "HST": -10.0, "JST": 9.0, "KST": 9.0, "AEST": 10.0, "AEDT": 11.0,
    "NZST": 12.0, "NZDT": 13.0,
}  # fmt: skip


def fixed_offset(text: str) -> tzinfo:
    """The zone of `Z`, `UTC`, `CEST`, `+02`, `+0200`, `-03:30`, `UTC+0200`. Raises ValueError for others."""
    found = _OFFSET.fullmatch(text.strip())
    name, sign, hours, minutes = found.groups() if found else (None, None, None, None)
    if name is None and sign is None:
        raise ValueError(f"{text!r} is not a fixed offset")
    if name is not None and name.upper() not in _ABBREVIATIONS:
        raise ValueError(f"{name} is not a known zone abbreviation")
    offset = timedelta(hours=_ABBREVIATIONS.get((name or "Z").upper(), 0.0))
    if sign is not None:
        # In `CEST+0200` the number is the offset, not an addition to that of the name.
        own = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        offset = -own if sign == "-" else own
    return timezone(offset) if offset else UTC


def moment(parts: Parts, zone: tzinfo, now: datetime) -> Instant | None:
    """Epoch seconds of a date. `zone` applies if it names none, `now` supplies missing parts. None if the
    date does not exist."""
    if epoch := parts.get("epoch"):
        digits = epoch.partition(".")[0]
        return float(epoch) / (10 ** (len(digits) - len(digits[:10])) if len(digits) > 11 else 1)
    if label := parts.get("tai"):
        return float(int(label[1:17], 16) - _TAI_ORIGIN)
    zone = _zone(parts, zone)
    today = now.astimezone(zone)
    try:
        return _from_calendar(parts, zone, today)
    except (ValueError, OverflowError):
        return None


def _from_calendar(parts: Parts, zone: tzinfo, today: datetime) -> Instant | None:
    year = _year(parts)
    month = _month(parts)
    day = int(parts["d"] or 0) if parts.get("d") else None
    if year is not None and month is None and day is None:
        exact = _by_week(parts, year) or date(year, today.month, today.day)
        return _at(exact, parts, zone).timestamp()
    if month is None and day is None:
        found = _at(today.date(), parts, zone)
        return (found - timedelta(days=1) if found > today else found).timestamp()
    month, day = month or today.month, day or 1
    if year is not None:
        return _at(date(year, month, day), parts, zone).timestamp()
    # 29 February without a year belongs to the latest leap year, which may be 8 years ago.
    # Only in December a date may be in the next year.
    for candidate in range(today.year + (today.month == 12), today.year - 8, -1):
        if (month, day) == (2, 29) and not _leap(candidate):
            continue
        found = _at(date(candidate, month, day), parts, zone)
        if found - today <= _AHEAD:
            return found.timestamp()
    return None


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _year(parts: Parts) -> int | None:
    full, short = parts.get("Y") or parts.get("G"), parts.get("y")
    return int(full) if full else 2000 + int(short) if short else None


def _month(parts: Parts) -> int | None:
    if number := parts.get("m"):
        return int(number)
    name = parts.get("b") or parts.get("B")
    return MONTHS.index(name[:3].lower()) + 1 if name else None


def _by_week(parts: Parts, year: int) -> date | None:
    """The date by the day of the year, or by week (V: ISO, U: from Sunday, W: from Monday) and weekday."""
    if number := parts.get("j"):
        return date(year, 1, 1) + timedelta(days=int(number) - 1)
    weekday = _weekday(parts)
    if weekday is None:
        return None
    if week := parts.get("V"):
        return date.fromisocalendar(year, int(week), weekday + 1)
    first = date(year, 1, 1).weekday()
    if week := parts.get("W"):
        return date(year, 1, 1) + timedelta(days=(7 - first) % 7 + 7 * (int(week) - 1) + weekday)
    if week := parts.get("U"):
        sunday = (6 - first) % 7
        return date(year, 1, 1) + timedelta(days=sunday + 7 * (int(week) - 1) + (weekday + 1) % 7)
    return None


def _weekday(parts: Parts) -> int | None:
    """0 for Monday."""
    if number := parts.get("u"):
        return int(number) - 1
    if number := parts.get("w"):
        return (int(number) - 1) % 7
    name = parts.get("a") or parts.get("A")
    return WEEKDAYS.index(name[:3].lower()) if name else None


def _hour(parts: Parts) -> int:
    if twelve := parts.get("I") or parts.get("l"):
        hour = int(twelve)
        half = (parts.get("p") or "").lower()
        return hour % 12 + (12 if half == "pm" else 0) if half else hour
    return int(parts.get("H") or parts.get("k") or 0)


def _zone(parts: Parts, default: tzinfo) -> tzinfo:
    named = parts.get("z") or parts.get("Z")
    try:
        return fixed_offset(named) if named else default
    except ValueError:
        return default


def _at(day: date, parts: Parts, zone: tzinfo) -> datetime:
    fraction = (parts.get("f") or "0").ljust(6, "0")
    # Epoch time has no leap seconds.
    second = min(int(parts.get("S") or 0), 59)
    return datetime(
        day.year, day.month, day.day, _hour(parts), int(parts.get("M") or 0), second, int(fraction), zone
    )
