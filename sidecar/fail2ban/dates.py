"""When a line happened: date patterns become regexes, and a detector cuts the date out of a line.

The pattern language and the default list are Fail2Ban's: `%`-tokens as in strftime, `%Ex?` for exact
widths, `{^LN-BEG}` for the beginning of a line, EPOCH and TAI64N.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from sidecar.model import ConfigError, Instant

_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_ZONE = r"Z|UTC|GMT|[+-][01]\d(?::?\d{2})?"
_TOKENS = {
    "a": r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*",
    "b": r"(?P<b>" + "|".join(_MONTHS) + r")[a-z]*",
    "d": r"(?P<d>[1-2]\d|[0 ]?[1-9]|3[0-1])",
    "m": r"(?P<m>0?[1-9]|1[0-2])",
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d{2})",
    "H": r"(?P<H>[0-1]?\d|2[0-3])",
    "k": r" ?(?P<H>[0-2]?\d)",
    "I": r"(?P<I>1[0-2]|0?[1-9])",
    "l": r" ?(?P<I>1?\d)",
    "M": r"(?P<M>[0-5]?\d)",
    "S": r"(?P<S>[0-5]?\d|6[0-1])",
    "f": r"(?P<f>\d{1,6})",
    "p": r"(?P<p>[ap]m)",
    "z": rf"(?P<z>{_ZONE})",
    "Z": r"(?P<Z>Z|[A-Z]{3,5})",
    "j": r"(?P<j>\d{1,3})",
    "ExY": r"(?P<Y>20\d{2})",
    "Exy": r"(?P<y>\d{2})",
    "Exm": r"(?P<m>0[1-9]|1[0-2])",
    "Exd": r"(?P<d>0[1-9]|[12]\d|3[01])",
    "ExH": r"(?P<H>[01]\d|2[0-3])",
    "ExM": r"(?P<M>[0-5]\d)",
    "ExS": r"(?P<S>[0-5]\d|6[01])",
}
_TOKENS["A"] = _TOKENS["a"]
_TOKENS["B"] = _TOKENS["b"]
_TOKEN = re.compile(r"%(Ex[YymdHMS]|[a-zA-Z%])")

DEFAULT_PATTERNS = (
    r"%ExY(?P<_sep>[-/.])%m(?P=_sep)%d(?:T|  ?)%H:%M:%S(?:[.,]%f)?(?:\s*%z)?",
    r"(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
    r"(?:%a )?%b %d %ExY %k:%M:%S(?:\.%f)?",
    r"%d(?P<_sep>[-/])%m(?P=_sep)(?:%ExY|%Exy) %k:%M:%S",
    r"%d(?P<_sep>[-/])%b(?P=_sep)%ExY[ :]?%H:%M:%S(?:\.%f)?(?: %z)?",
    r"%m/%d/%ExY:%H:%M:%S",
    r"%m-%d-%ExY %k:%M:%S(?:\.%f)?",
    r"EPOCH",
    r"{^LN-BEG}%H:%M:%S",
    r"^<%m/%d/%Exy@%H:%M:%S>",
    r"%Exy%Exm%Exd  ?%H:%M:%S",
    r"%b %d, %ExY %I:%M:%S %p",
    r"^%b-%d-%Exy %k:%M:%S",
    r"%ExY%Exm%Exd(?:-|T|  ?)%ExH:?%ExM:?%ExS(?:[.,]%f)?(?:\s*%z)?",
    r"(?:%Z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
    r"(?:%z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
    r"TAI64N",
)
# A date does not begin inside a word, nor with a blank right behind one: so that it never stands inside a
# literal but between two characters that are both no word characters (detect/literals.py).
_WORD_BEGIN = r"(?:^|(?<!\w)|\b(?=\w))"
# A date that is not at the beginning of a line is looked for no further: longer lines are somebody's text.
_FAR = 512
_LINE_BEGIN = "{^LN-BEG}"
# A year that a date does not name: the latest one that is not more than a day ahead.
_AHEAD = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Template:
    """One date pattern as a regex whose group `date` is what is cut out."""

    regex: re.Pattern[str]
    anchored: bool

    @classmethod
    def compile(cls, pattern: str, *, anchored: bool = False) -> Template:
        """Raises ConfigError for a pattern that is no regex or names a token twice."""
        anchored = anchored or pattern.startswith((_LINE_BEGIN, "^"))
        body = pattern.removeprefix(_LINE_BEGIN).removeprefix("^")
        words = bool(re.search(r"%[aAbBp]", body))
        regex = _body(body)
        start = r"^\W{0,2}?" if anchored else _WORD_BEGIN
        if pattern.startswith("^"):
            start = "^"
        try:
            compiled = re.compile(rf"{start}(?P<date>{regex})(?=\b|\W|$)", re.IGNORECASE if words else 0)
        except (re.error, OverflowError, RecursionError) as error:
            raise ConfigError(f"datepattern {pattern!r}: {error}") from error
        return cls(compiled, anchored)


def _body(pattern: str) -> str:
    if pattern in ("EPOCH", "{EPOCH}"):
        return r"(?P<epoch>\d{10,11}(?:\.\d{3,6})?)"
    if pattern == "TAI64N":
        return r"@(?P<tai>4[0-9a-f]{15}[0-9a-f]{8})"
    unknown = re.search(r"\{[^a-z\d]*[A-Z]+[^}]*\}", pattern)
    if unknown:
        raise ConfigError(f"datepattern {pattern!r}: {unknown.group()} is not known")
    seen: set[str] = set()

    def token(found: re.Match[str]) -> str:
        name = found.group(1)
        if name == "%":
            return "%"
        text = _TOKENS.get(name)
        if text is None:
            raise ConfigError(f"datepattern {pattern!r}: %{name} is no known token")
        # In an alternation such as (?:%ExY|%Exy) both may stand; the same one twice is unnamed.
        group = re.search(r"\?P<(\w+)>", text)
        if group and group.group(1) in seen:
            return text.replace(f"?P<{group.group(1)}>", "?:")
        if group:
            seen.add(group.group(1))
        return text

    return _TOKEN.sub(token, pattern)


DEFAULTS = [
    *(Template.compile(p, anchored=True) for p in DEFAULT_PATTERNS if not p.startswith(("^", _LINE_BEGIN))),
    *(Template.compile(p) for p in DEFAULT_PATTERNS),
]


def fixed_offset(text: str) -> tzinfo:
    """The zone of `Z`, `UTC`, `+0200`, `-03:30`, `UTC+02`. ValueError for anything else."""
    found = re.fullmatch(r"(?:Z|UTC|GMT)?(?:([+-])(\d{2}):?(\d{2})?)?", text.strip(), re.IGNORECASE)
    if not found or not text.strip():
        raise ValueError(f"{text!r} is no fixed offset")
    sign, hours, minutes = found.groups()
    if sign is None:
        return UTC
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return timezone(-offset if sign == "-" else offset)


def _year(groups: dict[str, str | None]) -> int | None:
    full, short = groups.get("Y"), groups.get("y")
    return int(full) if full else 2000 + int(short) if short else None


def _hour(groups: dict[str, str | None]) -> int:
    twelve = groups.get("I")
    if twelve:
        return int(twelve) % 12 + (12 if (groups.get("p") or "").lower() == "pm" else 0)
    return int(groups.get("H") or 0)


def _zone(groups: dict[str, str | None], default: tzinfo) -> tzinfo:
    named = groups.get("z") or groups.get("Z")
    try:
        return fixed_offset(named) if named else default
    except ValueError:
        return default


def _instant(groups: dict[str, str | None], zone: tzinfo, now: datetime) -> Instant | None:
    if groups.get("epoch"):
        return float(groups["epoch"] or 0)
    if groups.get("tai"):
        # TAI runs ahead of UTC by whole seconds since 1972; 10 of them are in the label's origin.
        return float(int((groups["tai"] or "")[1:16], 16) - 10)
    zone = _zone(groups, zone)
    today = now.astimezone(zone)
    month = groups.get("m") or groups.get("b")
    if month is None:
        moment = _at(today.year, today.month, today.day, groups, zone)
        if moment and moment > today:
            moment -= timedelta(days=1)
        return moment.timestamp() if moment else None
    number = int(month) if month.isdigit() else _MONTHS.index(month.lower()) + 1
    day = int(groups.get("d") or 1)
    year = _year(groups)
    if year is not None:
        exact = _at(year, number, day, groups, zone)
        return exact.timestamp() if exact else None
    # A year-less 29 February belongs to the latest leap year, hence the few steps back.
    for candidate in range(today.year + 1, today.year - 8, -1):
        moment = _at(candidate, number, day, groups, zone)
        if moment and moment - today <= _AHEAD:
            return moment.timestamp()
    return None


def _at(year: int, month: int, day: int, groups: dict[str, str | None], zone: tzinfo) -> datetime | None:
    fraction = groups.get("f") or "0"
    try:
        return datetime(
            year,
            month,
            day,
            _hour(groups),
            int(groups.get("M") or 0),
            min(int(groups.get("S") or 0), 59),
            int(fraction.ljust(6, "0")),
            tzinfo=zone,
        )
    except ValueError:
        return None


class DateDetector:
    """Finds and cuts the date of a line; remembers which pattern fitted last, since logs keep to one.

    `zone` is the zone of dates that name none. One detector serves one log of one jail.
    """

    def __init__(self, zone: tzinfo, patterns: list[str] | None = None) -> None:
        self._zone = zone
        self._templates = [t for p in patterns for t in _expand(p)] if patterns else list(DEFAULTS)
        self._last: Template | None = None
        self._cache: dict[str, Instant | None] = {}
        self._cached_day = 0

    def cut(self, line: str, now: Instant) -> tuple[Instant | None, str]:
        """The line's time (None: it has none) and the line without its date."""
        found = self._last.regex.search(line) if self._last and self._last.anchored else None
        if found is None:
            found = self._search(line)
        if found is None:
            return None, line
        start, end = found.span("date")
        return self._parse(found, now), line[:start] + line[end:]

    def _search(self, line: str) -> re.Match[str] | None:
        nearest: re.Match[str] | None = None
        chosen: Template | None = None
        for template in self._templates:
            found = template.regex.search(line, 0, len(line) if template.anchored else _FAR)
            if found is None:
                continue
            if template.anchored:
                self._last = template
                return found
            if nearest is None or found.start("date") < nearest.start("date"):
                nearest, chosen = found, template
        self._last = chosen
        return nearest

    def _parse(self, found: re.Match[str], now: Instant) -> Instant | None:
        # The same second stands on many lines under attack; a year-less date depends on today.
        day = int(now // 3600)
        if day != self._cached_day or len(self._cache) > 4096:
            self._cache.clear()
            self._cached_day = day
        text = found.group("date")
        if text not in self._cache:
            moment = datetime.fromtimestamp(now, UTC)
            self._cache[text] = _instant(found.groupdict(), self._zone, moment)
        return self._cache[text]


def _expand(pattern: str) -> list[Template]:
    pattern = pattern.strip()
    if pattern in ("{DEFAULT}", ""):
        return list(DEFAULTS)
    if pattern == _LINE_BEGIN:
        return [t for t in DEFAULTS if t.anchored]
    if pattern == "{NONE}":
        return []
    if "{DATE}" in pattern:
        return [Template.compile(pattern.replace("{DATE}", p.lstrip("^"))) for p in DEFAULT_PATTERNS[:7]]
    return [Template.compile(pattern)]
