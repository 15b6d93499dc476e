"""`zmban regex --out`: one field of each match, or a template."""

from __future__ import annotations

import re
from typing import Any

from sidecar.fail2ban.spec import FilterSpec
from sidecar.model import printable
from sidecar.offline.lines.regex_test import LineResult

_TAG = re.compile(r"<([^<>\s]+)>")


def field(reading: LineResult, what: str, spec: FilterSpec) -> str:
    """The output of `--out` for a match: a field by name, a row, or a template with tags. A template with
    `<msg>` is printed once per line of the failure."""
    if what == "row":
        # repr() escapes control codes.
        return f"[{reading.host!r},\t{reading.time!r},\t{_groups(reading, spec)!r}],"
    if "<" not in what:
        texts = [_named(reading, what, "None")]
    elif "<msg>" in what:
        texts = [_filled(reading, what.replace("<msg>", line)) for line in reading.lines]
    else:
        texts = [_filled(reading, what)]
    return "\n".join(printable(line) for text in texts for line in text.split("\n"))


def _filled(reading: LineResult, what: str) -> str:
    return _TAG.sub(lambda tag: _named(reading, tag.group(1), ""), what)


def _groups(reading: LineResult, spec: FilterSpec) -> dict[str, Any]:
    """All named groups of the match, including those that did not participate (None)."""
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
