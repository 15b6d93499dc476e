"""`zmban regex --out`: one thing of each match, and nothing else."""

from __future__ import annotations

import re
from typing import Any

from sidecar.fail2ban.spec import FilterSpec
from sidecar.model import printable
from sidecar.offline.regex_test import LineResult

_TAG = re.compile(r"<([^<>\s]+)>")


def field(reading: LineResult, what: str, spec: FilterSpec) -> str:
    """What `--out` asks of a match: one thing by its name, a row, or a text with tags, which is printed for
    each line of the failure where it has `<msg>`."""
    if what == "row":
        # What Python writes of a text holds no control code.
        return f"[{reading.host!r},\t{reading.time!r},\t{_groups(reading, spec)!r}],"
    if "<" not in what:
        told = [_named(reading, what, "None")]
    elif "<msg>" in what:
        told = [_filled(reading, what.replace("<msg>", line)) for line in reading.lines]
    else:
        told = [_filled(reading, what)]
    return "\n".join(printable(line) for text in told for line in text.split("\n"))


def _filled(reading: LineResult, what: str) -> str:
    return _TAG.sub(lambda tag: _named(reading, tag.group(1), ""), what)


def _groups(reading: LineResult, spec: FilterSpec) -> dict[str, Any]:
    """The groups as Python writes them, also those that took no part."""
    patterns = [p for p in (spec.prefregex, spec.failregex[reading.regex]) if p]
    names = [name for pattern in patterns for name in pattern.regex.groupindex if name != "content"]
    groups: dict[str, Any] = dict.fromkeys(names)
    groups |= {key: value for key, value in reading.groups.items() if key != "attempts"}
    return groups | ({"users": set(groups["users"])} if "users" in groups else {})


def _named(reading: LineResult, name: str, missing: str) -> str:
    match name.lower():
        case "id" | "fid" | "ip" | "host":
            return reading.host or missing
        case "time":
            return missing if reading.time is None else str(reading.time)
        case "msg" | "matches":
            return "\n".join(reading.lines)
        case "br":
            return "\n"
        case group:
            value = reading.groups.get(group.removeprefix("f-").replace("-", "_"))
            return missing if value is None else str(value)
