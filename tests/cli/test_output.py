"""Output as text and as JSON."""

import io
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli.log_format import JsonFormatter, PlainFormatter
from sidecar.cli.output.printing import emit
from sidecar.local_time import moment
from sidecar.model import LATEST
from tests.cli.running import zmban

DRIVING = "a\x1b]0;x\x07 \x9b31m \u202e\u2066 \u2028 \x7f \x00 \U000e0041 é \n end"


@pytest.fixture(params=["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("at", [0, LATEST, 253402300799, 1e12, 9e99, -9e99, float("inf"), float("nan")])
def test_every_time_is_printed_whatever_a_calendar_knows(zone: None, at: float) -> None:
    assert moment(at)
    assert moment(LATEST).startswith("999")
    assert moment(1e12) == "after the year 9999"


def printed(capfdbinary: pytest.CaptureFixture[bytes], records: list[dict[str, Any]], *, jsonl: bool) -> str:
    emit(iter(records), jsonl=jsonl)
    return capfdbinary.readouterr().out.decode()


@pytest.mark.parametrize("records", [[], [{}], [{"a": DRIVING, "b": [1, {"c": None}]}, {"d": []}]])
@pytest.mark.parametrize("jsonl", [False, True])
def test_json_says_the_same_without_what_drives_a_terminal(
    capfdbinary: pytest.CaptureFixture[bytes], records: list[dict[str, Any]], jsonl: bool
) -> None:
    text = printed(capfdbinary, records, jsonl=jsonl)
    assert all(line.isprintable() for line in text.split("\n"))
    assert (list(map(json.loads, text.splitlines())) if jsonl else json.loads(text)) == records


def test_records_are_printed_as_they_come(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    def endless() -> Iterator[dict[str, Any]]:
        yield from ({"number": number} for number in range(100_000))
        raise KeyboardInterrupt

    for jsonl in (False, True):
        with pytest.raises(KeyboardInterrupt):
            emit(endless(), jsonl=jsonl)
        assert b"5000" in capfdbinary.readouterr().out


def test_a_record_of_the_log_is_one_line_whatever_is_in_it() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainFormatter("%(levelname)s: %(message)s"))
    log = logging.Logger("test")
    log.addHandler(handler)
    log.error("reason %s", DRIVING)
    log.error(DRIVING)
    lines = stream.getvalue().removesuffix("\n").split("\n")
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert "\\x1b" in lines[0]
    assert "\\u202e" in lines[0]
    try:
        int(DRIVING)
    except ValueError:
        log.exception("it broke")
    lines = stream.getvalue().removesuffix("\n").split("\n")
    assert len(lines) > 4, "a traceback keeps its lines"
    assert all(line.isprintable() for line in lines)
    # A filter such as recidive must not take text of an exception for a line of the log.
    assert all(line.startswith("zmban | ") for line in lines[3:])


def test_a_record_as_json_is_one_object_in_ascii_whatever_is_in_it() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    log = logging.Logger("test")
    log.addHandler(handler)
    hostile = DRIVING + '"\\{}\udcff'
    log.error("reason %s", hostile, extra={"fields": {"reason": hostile, "jail": "smtp"}})
    try:
        int(hostile)
    except ValueError:
        log.exception("it broke")
    assert stream.getvalue().isascii()
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["jail"] == "smtp" and first["message"] == f"reason {first['reason']}"
    assert all(value.isprintable() for value in first.values())
    assert "ValueError" in second["exception"]


@pytest.mark.parametrize(
    "arguments", [["ban", DRIVING.replace("\0", "")], ["explain", "x", "--log", "\x1b[2J"]]
)
def test_what_is_wrong_with_a_command_is_said_without_control_codes(arguments: list[str]) -> None:
    done = zmban(*arguments)
    assert done.returncode == 64
    assert all(line.isprintable() for line in done.stderr.split("\n"))


@pytest.mark.parametrize(
    ("source", "words"), [("/dev/zero", "more than 1 MiB"), ("/", "directory"), ("/no/such", "No such file")]
)
def test_evidence_is_bounded_while_it_is_read(source: str, words: str) -> None:
    done = zmban("ban", "203.0.113.7", "--reason", "x", "--evidence", source, "--socket", "/no/such")
    assert done.returncode == 64
    assert words in done.stderr


def test_evidence_of_a_pipe_that_nobody_writes_into_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sidecar.cli.online.manual import evidence_option

    monkeypatch.setattr(evidence_option, "_TIMEOUT_SECONDS", 0.1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Exception, match="no data"):
        evidence_option.lines(str(tmp_path / "pipe"))


@pytest.mark.parametrize("duration", ["--1", "1d-12h", "1_000", "0", "-5", "101y", "99999999999y", "1e9", ""])
def test_for_takes_a_duration_and_nothing_that_looks_like_one(duration: str) -> None:
    done = zmban("ban", "203.0.113.7", "--reason", "x", f"--for={duration}", "--socket", "/no/such")
    assert done.returncode == 64
    assert "--for" in done.stderr
