"""Debian's pflogsumm as a yardstick: runs it, and reads its report."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

_UNITS = {"": 1, " ": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_TOTAL = re.compile(r" *(\d+)([kmg ]?)  ([a-z /]+?)(?:  \((\d+).*)?(?: \(\d+%\))?$")
_HOUR = re.compile(r" +(\d\d)00-\d\d00 +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)")
_USER = re.compile(r" *(\d+)([kmg ]?)  (\S.*)$")
_DOMAIN = re.compile(r" *(\d+)([kmg ]?) +(\d+)([kmg ]?) +(?:(\d+)[kmg ]? +[\d.]+ \w +[\d.]+ \w +)?(\S+)$")
_INDENTED = re.compile(r"( +)(\S.*?)(?: \(total: (\d+)\))?$")


@dataclass
class Summary:
    """The figures of a report. `totals` by their words, `hours` as rows of five, `tables` by their title: number
    by key; `details` by their title: number by program, relay or stage."""

    totals: dict[str, int] = field(default_factory=dict)
    deferrals: int = 0
    hours: list[list[int]] = field(default_factory=list)
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    details: dict[str, Counter[str]] = field(default_factory=dict)


def summary(log: Path, *arguments: str) -> Summary:
    """What pflogsumm says of a log. Numbers over 100,000 lose their last digits there."""
    ran = subprocess.run(["pflogsumm", *arguments, str(log)], capture_output=True, text=True, check=True)
    lines, found = ran.stdout.splitlines(), Summary()
    titles = [n for n, line in enumerate(lines[1:]) if line and set(line) == {"-"} and lines[n]]
    for place, end in zip(titles, [*titles[1:], len(lines)], strict=True):
        _section(lines[place], lines[place + 2 : end], found)
    return found


def _section(title: str, lines: list[str], found: Summary) -> None:
    if title == "Grand Totals":
        for line in lines:
            if total := _TOTAL.fullmatch(line):
                found.totals[total[3]] = int(total[1]) * _UNITS[total[2]]
                found.deferrals = int(total[4]) if total[3] == "deferred" and total[4] else found.deferrals
    elif title.startswith("Per-Hour"):
        found.hours = [[int(n) for n in hour.groups()[1:]] for line in lines if (hour := _HOUR.match(line))]
    elif title.startswith("Host/Domain"):
        rows = (row for line in lines if (row := _DOMAIN.fullmatch(line)))
        found.tables[title.partition(": ")[2]] = {row[6]: int(row[1]) for row in rows}
    elif " by message " in title:
        rows = (row for line in lines if (row := _USER.fullmatch(line)))
        found.tables[title] = {row[3]: int(row[1]) * _UNITS[row[2]] for row in rows}
    else:
        found.details[title] = _nested(lines)


def _nested(lines: list[str]) -> Counter[str]:
    """The number by the outermost key of a nested table."""
    found: Counter[str] = Counter()
    outer = ""
    for line in lines:
        if not (row := _INDENTED.fullmatch(line)):
            continue
        if len(row[1]) == 2:
            outer = row[2]
            found[outer] += int(row[3] or 0)
        elif row[3] and len(row[1]) == 4:
            found[outer] += int(row[3])
    return found
