"""How results are printed: tables for people, JSON for programs, progress on a terminal only."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click
from pydantic_core import to_json

from sidecar.model import Instant

# What a calendar can show: up to the year 9999.
EPOCH = click.FloatRange(0, 253402300799)


def json_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json` (one document) and `--jsonl` (one object a line)."""
    command = click.option("--jsonl", "jsonl", is_flag=True, help="One JSON object a line.")(command)
    return click.option("--json", "as_json", is_flag=True, help="One JSON document.")(command)


def emit(records: Iterable[dict[str, Any]], *, jsonl: bool) -> None:
    """Print records for programs."""
    if jsonl:
        # Not click's echo, which flushes each, and not json, which takes five times as long: there may be a
        # million.
        write = sys.stdout.buffer.write
        for one in records:
            write(to_json(one) + b"\n")
        sys.stdout.flush()
    else:
        click.echo(json.dumps(list(records), ensure_ascii=False, indent=2))


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


def printable(text: str) -> str:
    """A line of a log without the control codes that could drive a terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def moment(at: Instant | None) -> str:
    """Local time for people; `for ever` where there is no end."""
    return "for ever" if at is None else datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


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
