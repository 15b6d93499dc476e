"""`zmban export`: writes all active bans as text or JSON, which `zmban import` reads."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from sidecar.cli.online.ban_records import records
from sidecar.cli.output.printing import emit, json_options, say
from sidecar.cli.places import socket_option, state_option
from sidecar.model import StoreError, counted
from sidecar.store.imports import exported, list_line
from sidecar.whole_file import whole_file


@click.command()
@click.argument("file", required=False, metavar="[FILE]", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--text", "text", is_flag=True, help="One network per line, the rest in a comment (default).")
@state_option
@socket_option
@json_options
@click.pass_obj
def export(
    config: tuple[str, ...],
    file: Path | None,
    text: bool,
    state: Path,
    socket: Path,
    as_json: bool,
    jsonl: bool,
) -> None:
    """Write all active bans to FILE, or to standard output.

    Uses the service, or its database if no service runs.
    """
    if text + as_json + jsonl > 1:
        raise click.UsageError("give one of --text, --json, --jsonl")
    found = records(config, state, socket, lines=as_json or jsonl)
    number = 0

    def bans() -> Iterator[dict[str, Any]]:
        nonlocal number
        for one in found:
            number += 1
            yield one

    with _output(file) as out:
        if as_json or jsonl:
            emit(map(exported.fields, bans()), jsonl=jsonl, out=out)
        else:
            out.writelines(f"{list_line.written(one)}\n".encode() for one in bans())
            out.flush()
    if file is not None:
        say(f"{file}: {counted(number, 'ban')}", err=True)


@contextlib.contextmanager
def _output(file: Path | None) -> Iterator[BinaryIO]:
    """A file that gets its name when all is written; a device or pipe, and standard output, at once.
    StoreError if it cannot be written."""
    if file is None:
        yield sys.stdout.buffer
        return
    try:
        if file.exists() and not file.is_file():
            with file.open("wb") as out:
                yield out
            return
        # For the owner only, because log lines name people.
        with whole_file(Path(os.path.realpath(file))) as out:
            yield out
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror or error}") from error
