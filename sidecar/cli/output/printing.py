"""How results are printed: tables for people, JSON for programs, progress on a terminal only."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TextIO

import click
from pydantic_core import to_json

from sidecar.cli.output.tables import HELD, Column, Row, rendered
from sidecar.cli.output.terminal import driven, styled, width, wrapped
from sidecar.model import LATEST, Instant, printable

EPOCH = click.FloatRange(0, LATEST)
# What must not reach a terminal, in JSON: outside of its texts there is nothing but ASCII.
_UNSHOWN = re.compile(r"[^\x20-\x7e]")
_INDENT = "  "
_REDRAW_SECONDS = 0.1


def json_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json` (one document) and `--jsonl` (one object a line)."""
    command = click.option("--jsonl", "jsonl", is_flag=True, help="One JSON object a line.")(command)
    return click.option("--json", "as_json", is_flag=True, help="One JSON document.")(command)


def emit(records: Iterable[dict[str, Any]], *, jsonl: bool, at_once: bool = False) -> None:
    """Print records for programs, each as it comes: there may be a million. `at_once`: somebody waits for
    each of them."""
    # Not click's echo, which flushes each, and not json, which takes five times as long.
    write = sys.stdout.buffer.write
    if jsonl:
        for one in records:
            write(_shown(_json(one)) + b"\n")
            if at_once:
                sys.stdout.flush()
    else:
        before = b"[\n"
        for one in records:
            lines = _json(one, indent=2).split(b"\n")
            write(before + b"\n".join(_INDENT.encode() + _shown(line) for line in lines))
            before = b",\n"
        write(b"[]\n" if before == b"[\n" else b"\n]\n")
    sys.stdout.flush()


def _json(record: dict[str, Any], indent: int | None = None) -> bytes:
    try:
        return to_json(record, indent=indent)
    except ValueError:
        # A byte that was no UTF-8, which the faster way does not know.
        return json.dumps(record, indent=indent).encode()


def _shown(line: bytes) -> bytes:
    """A line of JSON that says the same, without what could drive a terminal."""
    if line.isascii():
        # What is below a blank, JSON escapes; but it passes DEL.
        return line.replace(b"\x7f", b"\\u007f")
    text = line.decode()
    return line if text.isprintable() else _UNSHOWN.sub(_escaped, text).encode()


def _escaped(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else json.dumps(found[0]).strip('"')


def table(columns: Sequence[Column | str], rows: Iterable[Row], held: int = HELD) -> None:
    """Print a table for people, each row as it comes behind the first `held`. A column that is only named is
    never shortened. Text from logs is shown as text, never as control codes."""
    full = [Column(column) if isinstance(column, str) else column for column in columns]
    style = "bold"
    for line in rendered(full, rows, width(sys.stdout), held):
        click.echo(styled(line, style, sys.stdout))
        style = ""


def say(text: str, *, err: bool = False, indent: int = 4, whole: Iterable[str] = ()) -> None:
    """Print one line for people; on a narrow terminal it is broken between words, but not in `whole`."""
    stream = sys.stderr if err else sys.stdout
    click.echo(wrapped(printable(text), width(stream), indent, map(printable, whole)), err=err)


def moment(at: Instant | None) -> str:
    """Local time for people; `for ever` where there is no end, and words for what no calendar shows."""
    if at is None:
        return "for ever"
    try:
        return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "after the year 9999" if at > 0 else "no time"


class Bar:
    """How far a reading is, in one line of a terminal; `clear` it before something else is printed there."""

    def __init__(self, total: int, stream: TextIO | None) -> None:
        self._total, self._stream = total, stream
        self._done, self._begun = 0, time.monotonic()
        self._drawn = self._begun
        self._stands = False

    def advance(self, amount: int) -> None:
        """So many more bytes are read."""
        self._done += amount
        now = time.monotonic()
        if self._stream is not None and now - self._drawn > _REDRAW_SECONDS:
            self._drawn = now
            rate = self._done / (now - self._begun) / 1e6
            share = min(100, 100 * self._done // (self._total or 1))
            self._write(f"\r\x1b[Kreading: {share} %, {self._done / 1e6:.0f} MB, {rate:.0f} MB/s")
            self._stands = True

    def clear(self) -> None:
        """Take it away until it is drawn anew."""
        if self._stands:
            self._write("\r\x1b[K")
            self._stands = False

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()


@contextmanager
def progress(total: int, *, quiet: bool = False) -> Iterator[Bar]:
    """A bar over bytes, on a terminal only."""
    bar = Bar(total, None if quiet or not driven(sys.stderr) else sys.stderr)
    try:
        yield bar
    finally:
        bar.clear()
