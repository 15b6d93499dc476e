"""Runs one session through zmban's matcher, and compares each result with the annotation of the sample."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sidecar.configuration.loading import zone
from sidecar.detect.grammar import Trust
from sidecar.fail2ban.syntax.files import ConfigFiles
from sidecar.model import ConfigError
from sidecar.offline.lines import regex_test
from sidecar.offline.lines.regex_test import LineResult
from tests.conformance import package
from tests.conformance.corpus import Record, Session

# The corpus' clock: 2005-08-14 10:00:00 UTC, and the zone of its dates as a POSIX string.
NOW = 1124013600
ZONE = "CET-01CEST-02,M3.5.0,M10.5.0"
# The same zone as IANA zone, to compute expected times; it differs for an hour twice a year.
_WALL = ZoneInfo("Europe/Berlin")
_DATE = re.compile(r"(\d+)-(\d+)-(\d+)[T ](\d+):(\d+):(\d+)(?:[.,]\d+)?")
_DOTTED = re.compile(r"\d+\.\d+\.\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One record and the matcher's result. `wrong`: the difference as text, or None. `known`: the difference is
    intended."""

    session: Session
    record: Record
    reading: LineResult | None
    wrong: str | None
    known: bool


def directory(session: Session) -> Path:
    """The configuration directory that has the session's filter."""
    stock = package.stock()
    return (
        stock if (stock / "filter.d" / f"{session.filter}.conf").is_file() else package.suite_configuration()
    )


def readings(session: Session) -> Iterator[LineResult]:
    """The matcher's result for each line. ConfigError if the filter has a fault."""
    found = regex_test.target(ConfigFiles([directory(session)]), session.text, {})
    errors = [str(fault) for fault in found.faults if not fault.warning]
    if errors:
        raise ConfigError("; ".join(errors))
    lines = [record.line for record in session.records]
    options = regex_test.ReadOptions(zone(ZONE), NOW, Trust(()), session.journal)
    return regex_test.read(lines, found.spec, options, "")


def verdicts(session: Session) -> list[Verdict]:
    """A verdict for each record. If the filter does not load, all are wrong."""
    try:
        found = list(readings(session))
    except ConfigError as error:
        text = f"the filter does not load: {error}"
        return [Verdict(session, record, None, text, known=False) for record in session.records]
    return [
        Verdict(
            session, record, reading, difference(session, record, reading), known=deliberate(record, reading)
        )
        for record, reading in zip(session.records, found, strict=True)
    ]


def deliberate(record: Record, reading: LineResult) -> bool:
    """Whether a difference is intended: zmban rejects invalid IPv4 addresses (an octet with a leading zero, or
    above 255)."""
    host = str(record.expected.get("host", ""))
    malformed = record.match and _DOTTED.fullmatch(host) is not None and not _parses(host)
    return malformed and (not reading.matched or reading.host is None)


def difference(session: Session, record: Record, reading: LineResult) -> str | None:
    """The difference from the annotation as text, or None."""
    if reading.matched != record.match:
        return f"{'a false match' if reading.matched else 'no match'}{', ignored' if reading.ignored else ''}"
    if not record.match:
        return None
    parts = []
    for key, wanted in record.expected.items():
        got = reading.host if key == "host" else reading.groups.get(key)
        if key == "host" and got is None:
            got = reading.groups.get("host")
        if comparable(got) != comparable(wanted):
            parts.append(f"{key} {wanted!r} expected, {got!r} came")
    if record.time is not None and not session.journal:
        wanted_time = epoch(record.time)
        if reading.time is None or math.floor(reading.time) != wanted_time:
            parts.append(f"time {record.time} = {wanted_time} expected, {_local(reading.time)} came")
    return "; ".join(parts) or None


def comparable(value: Any) -> Any:
    """A comparable form: sorted lists, addresses in canonical form, other values as text."""
    if isinstance(value, list | tuple | set | frozenset):
        return sorted(str(comparable(one)) for one in value)
    return None if value is None else canonical(str(value))


@cache
def canonical(text: str) -> str:
    """An address or network in its shortest form; a host name unchanged."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return text
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _parses(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def epoch(text: str) -> int:
    """A local time of the corpus, possibly without leading zeros, as epoch seconds. ValueError if it is invalid."""
    found = _DATE.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no date of the corpus")
    year, month, day, hour, minute, second = map(int, found.groups())
    return int(datetime(year, month, day, hour, minute, second, tzinfo=_WALL).timestamp())


def _local(time: float | None) -> str:
    return "none" if time is None else f"{datetime.fromtimestamp(time, _WALL):%Y-%m-%dT%H:%M:%S} = {time:.0f}"
