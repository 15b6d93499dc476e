"""How results are printed: tables for people, JSON for programs, progress on a terminal only."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click
from pydantic_core import to_json

from sidecar.model import LATEST, Instant, printable

EPOCH = click.FloatRange(0, LATEST)
# What must not reach a terminal, in JSON: outside of its texts there is nothing but ASCII.
_UNSHOWN = re.compile(r"[^\x20-\x7e]")
_INDENT = "  "


def json_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json` (one document) and `--jsonl` (one object a line)."""
    command = click.option("--jsonl", "jsonl", is_flag=True, help="One JSON object a line.")(command)
    return click.option("--json", "as_json", is_flag=True, help="One JSON document.")(command)


def emit(records: Iterable[dict[str, Any]], *, jsonl: bool) -> None:
    """Print records for programs, each as it comes: there may be a million."""
    # Not click's echo, which flushes each, and not json, which takes five times as long.
    write = sys.stdout.buffer.write
    if jsonl:
        for one in records:
            write(_shown(_json(one)) + b"\n")
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


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Print a table for people. Text from logs is shown as text, never as markup or control codes."""
    from rich.console import Console

    Console(soft_wrap=not sys.stdout.isatty()).print(build_table(columns, rows, title))


def build_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> Any:
    """The table as an object of rich, for a live display."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(printable(cell)) for cell in row))
    return made


def say(text: str, *, err: bool = False) -> None:
    """Print one line for people."""
    click.echo(printable(text), err=err)


def moment(at: Instant | None) -> str:
    """Local time for people; `for ever` where there is no end, and words for what no calendar shows."""
    if at is None:
        return "for ever"
    try:
        return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "after the year 9999" if at > 0 else "no time"


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar over bytes, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=total)
        yield lambda amount: bar.advance(task, amount)
