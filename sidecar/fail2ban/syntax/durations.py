"""Parses durations: `10m` and `1d12h`; in Fail2Ban's files also `-1` and arithmetic, without eval."""

from __future__ import annotations

import re

from sidecar.fail2ban.syntax.arithmetic import evaluate
from sidecar.model import LONGEST, Seconds

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
_CURE = "write seconds or a number with a unit, such as 10m or 1d12h"
_LONGEST_TEXT = 200
# _NUMBER is valid in both grammars; _TOKEN accepts Fail2Ban's numbers, which are Python's.
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_TERM = re.compile(rf"\s*({_NUMBER})\s*([a-z]+)", re.I)
_TOKEN = re.compile(
    r"\s*(?:([0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?|\.[0-9]+)\s*([a-z]+)?|([-+*/()]))", re.IGNORECASE
)
_LEADING_ZERO = re.compile(r"0[0-9]")


def length(text: str) -> Seconds:
    """Seconds of a duration on a command line: a number of seconds, or numbers with units.

    Raises ValueError with the reason, also for zero and for more than 100 years.

    >>> length("1d12h"), length("600")
    (129600.0, 600.0)
    """
    text = text.strip()
    if len(text) > _LONGEST_TEXT or not re.fullmatch(rf"{_NUMBER}|(?:{_TERM.pattern})+", text, re.I):
        raise ValueError(f"{text[:60]!r} is not a duration; {_CURE}")
    terms = _TERM.findall(text) or [(text, "s")]
    found = sum(float(number) * _unit(unit) for number, unit in terms)
    if found <= 0:
        raise ValueError(f"{text[:60]!r} is zero; {_CURE}")
    if found > LONGEST:
        raise ValueError(f"{text[:60]!r} is longer than 100 years; leave it out for ever")
    return found


def seconds(text: str) -> Seconds:
    """Seconds of a time value of Fail2Ban's files: as `length`, but also negative and with `+ - * / ( )`.

    Raises ValueError with the reason, also for empty text.

    >>> seconds("1d12h"), seconds("60*60"), seconds("-1")
    (129600.0, 3600.0, -1.0)
    """
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"{text[:60]!r} is not a time value; {_CURE}")
    try:
        return evaluate("".join(_to_python(text.strip())))
    except ValueError as error:
        why = f" ({error})" if isinstance(error, _AmbiguousError) else ""
        raise ValueError(f"{text!r} is not a time value{why}; {_CURE}") from error


class _AmbiguousError(ValueError):
    """An expression that is valid Python, but probably means something else."""


def _to_python(text: str) -> list[str]:
    """The tokens as a Python expression: units become factors, adjacent values with units are added."""
    parts: list[str] = []
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise ValueError(text[place:])
        place = found.end()
        number, unit, sign = found.groups()
        before = parts[-1] if parts else "("
        if sign is not None:
            if sign in "+-*/" and before in tuple("+-*/"):
                # Python reads "--1" as 1, but -1 (for ever) is probably meant.
                raise _AmbiguousError(f"{before + sign!r}: two signs in a row")
            parts.append(sign)
            continue
        if before not in tuple("+-*/("):
            if not before.startswith("("):
                # "1 000" probably means a thousand; it must not become 1 + 0.
                raise _AmbiguousError(f"{(before + found.group())[:20]!r}: two values side by side")
            parts.append("+")
        if unit is not None and before == "/":
            raise _AmbiguousError(f"cannot divide by {number + unit!r}")
        parts.append(_value(number, unit))
    return parts


def _value(number: str, unit: str | None) -> str:
    if _LEADING_ZERO.match(number):
        raise ValueError(f"{number}{unit or ''} is not a number")
    return number if unit is None else f"({float(number) * _unit(unit)!r})"


def _unit(unit: str) -> float:
    for pattern, factor in _UNITS:
        if pattern.match(unit):
            return factor
    raise ValueError(f"{unit!r} is not a unit of time (y mo w d h m s)")
