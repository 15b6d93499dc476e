"""`10m`, `1d12h`, `60*60`, `-1`: Fail2Ban's time values as seconds, without eval."""

from __future__ import annotations

import re

from sidecar.fail2ban.arithmetic import evaluate

_YEAR = 365.25 * 86400
_UNITS = [
    (re.compile(r"(?:y|yy|yea|years?)$", re.I), _YEAR),
    (re.compile(r"(?:mo|mon|months?)$", re.I), _YEAR / 12),
    (re.compile(r"(?:w|ww|wee|weeks?)$", re.I), 604800.0),
    (re.compile(r"(?:d|dd|da|days?)$", re.I), 86400.0),
    (re.compile(r"(?:h|hh|hou|hours?)$", re.I), 3600.0),
    (re.compile(r"(?:m|mm|min|minutes?|mins)$", re.I), 60.0),
    (re.compile(r"(?:s|ss|sec|seconds?|secs)$", re.I), 1.0),
]
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)?", re.I)
_CURE = "write seconds or a number with a unit, such as 10m or 1d12h"
_ALLOWED = re.compile(r"\s*[\w.()+-][\w\s.()+*/-]*", re.ASCII)


def _quantity(found: re.Match[str]) -> str:
    number, unit = found.groups()
    if unit is None:
        return number
    for pattern, factor in _UNITS:
        if pattern.match(unit):
            return f"({float(number) * factor!r})"
    raise ValueError(f"{unit!r} is no unit of time (y mo w d h m s)")


def seconds(text: str) -> float:
    """Seconds of a time value. Raises ValueError with the reason, for empty text too.

    >>> seconds("1d12h"), seconds("10m"), seconds("-1")
    (129600.0, 600.0, -1.0)
    """
    if not _ALLOWED.fullmatch(text) or len(text) > 200:
        raise ValueError(f"{text[:60]!r} is no time value; {_CURE}")
    sums = re.sub(r"\)\s*(?=[\d(])", ")+", _QUANTITY.sub(_quantity, text.strip()))
    try:
        return evaluate(sums)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time value; {_CURE}") from error
