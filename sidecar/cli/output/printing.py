"""Prints results: tables and text, JSON, and a progress bar on terminals."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, TextIO

import click
from pydantic_core import to_json

from sidecar.cli.output.tables import HELD, Column, Row, rendered
from sidecar.cli.output.terminal import styled, supports_control_codes, width, wrapped
from sidecar.model import LATEST, printable

EPOCH = click.FloatRange(0, LATEST)
# Candidates for escaping in JSON; outside of strings JSON is ASCII.
_NOT_ASCII_TEXT = re.compile(r"[^\x20-\x7e]")
_INDENT = "  "
_REDRAW_SECONDS = 0.1


def json_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options `--json` (one document) and `--jsonl` (one object per line)."""
    command = click.option("--jsonl", "jsonl", is_flag=True, help="Print one JSON object per line.")(command)
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def emit(
    records: Iterable[dict[str, Any]], *, jsonl: bool, at_once: bool = False, out: BinaryIO | None = None
) -> None:
    """Print records as JSON while they arrive, with constant memory; into `out` instead of standard output.
    `at_once` flushes after each record (jsonl only)."""
    # click.echo flushes each line, and the json module is five times slower.
    stream = out or sys.stdout.buffer
    write = stream.write
    if jsonl:
        for one in records:
            write(_safe(_json(one)) + b"\n")
            if at_once:
                stream.flush()
    else:
        before = b"[\n"
        for one in records:
            lines = _json(one, indent=2).split(b"\n")
            write(before + b"\n".join(_INDENT.encode() + _safe(line) for line in lines))
            before = b",\n"
        write(b"[]\n" if before == b"[\n" else b"\n]\n")
    stream.flush()


def emit_document(record: dict[str, Any]) -> None:
    """Print one JSON object as a document."""
    sys.stdout.buffer.writelines(_safe(line) + b"\n" for line in _json(record, indent=2).split(b"\n"))
    sys.stdout.buffer.flush()


def _json(record: dict[str, Any], indent: int | None = None) -> bytes:
    try:
        return to_json(record, indent=indent)
    except ValueError:
        # to_json rejects surrogates, which stand for bytes that are not UTF-8.
        return json.dumps(record, indent=indent).encode()


def _safe(line: bytes) -> bytes:
    """An equivalent line of JSON in which all characters that are not printable are escaped."""
    if line.isascii():
        # JSON escapes control codes below space, but not DEL.
        return line.replace(b"\x7f", b"\\u007f")
    text = line.decode()
    return line if text.isprintable() else _NOT_ASCII_TEXT.sub(_escaped, text).encode()


def _escaped(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else json.dumps(found[0]).strip('"')


def table(columns: Sequence[Column | str], rows: Iterable[Row], held: int = HELD) -> None:
    """Print a table; rows behind the first `held` are printed while they arrive. A column given by its title
    only is never shortened. Control codes in cells are escaped."""
    full = [Column(column) if isinstance(column, str) else column for column in columns]
    style = "bold"
    for line in rendered(full, rows, width(sys.stdout), held):
        click.echo(styled(line, style, sys.stdout))
        style = ""


def say(text: str, *, err: bool = False, indent: int = 4, whole: Iterable[str] = ()) -> None:
    """Print one line of text. On a terminal it is wrapped between words, but not within the texts `whole`."""
    stream = sys.stderr if err else sys.stdout
    click.echo(wrapped(printable(text), width(stream), indent, map(printable, whole)), err=err)


class Bar:
    """A progress bar in one line of a terminal, in bytes, or in units with the name `counting`. Call `clear`
    before printing anything else."""

    def __init__(self, total: int, stream: TextIO | None, counting: str = "") -> None:
        self._total, self._stream, self._counting = total, stream, counting
        self._done, self._begun = 0, time.monotonic()
        self._drawn = self._begun
        self._visible = False

    def advance(self, amount: int) -> None:
        """Add `amount` bytes or units, and redraw the bar if the last time was long enough ago."""
        self._done += amount
        now = time.monotonic()
        if self._stream is not None and now - self._drawn > _REDRAW_SECONDS:
            self._drawn = now
            self._write(f"\r\x1b[K{self._text(now)}")
            self._visible = True

    def _text(self, now: float) -> str:
        if self._counting:
            return f"{self._done:,} of {self._total:,} {self._counting}"
        rate = self._done / (now - self._begun) / 1e6
        share = min(100, 100 * self._done // (self._total or 1))
        return f"reading: {share} %, {self._done / 1e6:.0f} MB, {rate:.0f} MB/s"

    def clear(self) -> None:
        """Erase the bar until it is drawn again."""
        if self._visible:
            self._write("\r\x1b[K")
            self._visible = False

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()


@contextmanager
def progress(total: int, *, quiet: bool = False, counting: str = "") -> Iterator[Bar]:
    """A progress bar over `total` bytes, or units with the name `counting`; invisible if `quiet` or if
    standard error is no terminal."""
    bar = Bar(total, None if quiet or not supports_control_codes(sys.stderr) else sys.stderr, counting)
    try:
        yield bar
    finally:
        bar.clear()
