"""Reads one line of a container's log: CRI (`TIME stdout F text`) or Docker's JSON, recognized by itself."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

_STAMP = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)"
_A_STAMP = re.compile(_STAMP)
_CRI = re.compile(rb"(" + _STAMP + rb") (stdout|stderr) ([PF])(?::[^ ]*)?(?: (.*))?", re.DOTALL)
_CLOCK = rb"\d\d:\d\d:\d\d"
# A date of the program itself, where logs have one: at the beginning of a line, or in brackets behind the
# client of an access log. Not anywhere: a client may write a date into the middle of a line.
_OWN_DATE = (
    rb"(?:[^\w\n]{0,2}(?:\d{4}[-/.]\d\d[-/.]\d\d[T ]" + _CLOCK
    + rb"|(?:[A-Z][a-z]{2}[ ,]{1,2})?[A-Z][a-z]{2} [ \d]?\d (?:\d{4} )?" + _CLOCK
    + rb"|\d\d[-/ ][A-Z][a-z]{2}[-/ ]\d{4}[ :]" + _CLOCK
    + rb"|\d{10}(?:\.\d{3,6})?\b)"
    + rb"|[^\s\[]+ [^\s\[]+ [^\s\[]+ \[\d\d/[A-Z][a-z]{2}/\d{4}:" + _CLOCK + rb")"
)  # fmt: skip
_DATED = re.compile(_OWN_DATE)
_BEGIN = rb"^" + _STAMP + rb" std(?:out|err) F "
# Each matches a line to its end: a search for the next beginning would take longer than the match.
_ALL_DATED = re.compile(_BEGIN + rb"(" + _OWN_DATE + rb".*\n)", re.MULTILINE)
_ALL_WHOLE = re.compile(
    _BEGIN + rb"(" + _OWN_DATE + rb".*\n)|^(" + _STAMP + rb") std(?:out|err) F( .*\n)", re.MULTILINE
)
_STREAMS = {"stdout": b"stdout", "stderr": b"stderr"}


class ContainerLine(NamedTuple):
    """One line of a file. `whole`: the text ends here, and does not continue in the next line of the
    stream."""

    stamp: bytes
    stream: bytes
    text: bytes
    whole: bool


def parsed(raw: bytes) -> ContainerLine | None:
    """A raw line without its newline; None if it is in neither format."""
    # A crash of the host leaves zeros before a line.
    raw = raw.lstrip(b"\0")
    if raw.startswith(b"{"):
        return _of_json(raw)
    found = _CRI.fullmatch(raw)
    return found and ContainerLine(found[1], found[2], found[4] or b"", found[3] == b"F")


def _of_json(raw: bytes) -> ContainerLine | None:
    try:
        return _of_record(json.loads(raw))
    except (ValueError, RecursionError):
        return None


def _of_record(record: Any) -> ContainerLine | None:
    try:
        text, time = record["log"], record["time"].encode("ascii")
        stream, whole = _STREAMS[record["stream"]], text.endswith("\n")
        text = text.removesuffix("\n").encode("utf-8", "replace")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    # Docker ends an entry at each newline: one inside would let a text become a line of its own.
    if b"\n" in text or not _A_STAMP.fullmatch(time):
        return None
    return ContainerLine(time, stream, text, whole)


def dated(stamp: bytes, text: bytes) -> bytes:
    """The line with a date: the container's in front, if the text has none of its own. So a filter and a
    grammar see what they see in the program's own log file."""
    return text if _DATED.match(text) else stamp + b" " + text


def whole_lines(raw: bytes) -> bytes | None:
    """The plain text of raw lines that are all whole, and all in one format; None if any is not. Much faster
    than line by line, most of all if all are CRI and have dates of their own."""
    count = raw.count(b"\n")
    if raw.startswith(b"{"):
        return _whole_records(raw, count)
    dated_lines = _ALL_DATED.findall(raw)
    if len(dated_lines) == count:
        return b"".join(dated_lines)
    lines = _ALL_WHOLE.findall(raw)
    return b"".join([own or stamp + text for own, stamp, text in lines]) if len(lines) == count else None


def _whole_records(raw: bytes, count: int) -> bytes | None:
    try:
        records = json.loads(b"[" + raw[:-1].replace(b"\n", b",") + b"]")
    except (ValueError, RecursionError):
        return None
    lines = [line for line in map(_of_record, records) if line is not None and line.whole]
    # Two broken lines could make one record.
    if len(records) != count or len(lines) != count:
        return None
    return b"".join([dated(line.stamp, line.text) + b"\n" for line in lines])


def plain_line(raw: bytes) -> bytes:
    """The text of one raw line or part, with a date; the line itself if it is in neither format."""
    line = parsed(raw)
    return raw if line is None else dated(line.stamp, line.text)
