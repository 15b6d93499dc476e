"""`zmban backup`: copies the database into a file, while the service runs or without it."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from sidecar.cli import UnavailableError
from sidecar.cli.output.printing import emit, json_options, say
from sidecar.cli.places import socket_option, state_option
from sidecar.cli.state.compact import PATIENCE
from sidecar.model import StoreError, counted
from sidecar.serve import control

_STDOUT = Path("-")


@click.command()
@click.argument("file", metavar="FILE|-", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@state_option
@socket_option
@json_options
def backup(file: Path, force: bool, state: Path, socket: Path, as_json: bool, jsonl: bool) -> None:
    """Copy the database into FILE, or to standard output, without stopping the service.

    Uses the service, which writes FILE, or the database in --state if no service runs.
    """
    if file == _STDOUT:
        _to_stdout(state, socket, as_json=as_json or jsonl)
        return
    answer = _written(file.absolute(), force, state, socket)
    _warn(answer)
    if as_json or jsonl:
        emit([answer], jsonl=jsonl)
        return
    ended = f"{counted(answer['history'], 'ended ban')}"
    say(f"{answer['file']}: {counted(answer['bans'], 'ban')}, {ended}, {answer['bytes']:,} bytes")


def _to_stdout(state: Path, socket: Path, *, as_json: bool) -> None:
    if as_json or sys.stdout.isatty():
        raise click.UsageError("standard output takes the backup alone, and must be a file or a pipe")
    try:
        # In a container, the state directory may be the only place with space.
        room = state if state.is_dir() else None
        with tempfile.TemporaryDirectory(dir=room, prefix="backup-") as place:
            answer = _written(Path(place).absolute() / "backup", False, state, socket)
            with Path(answer["file"]).open("rb") as copy:
                shutil.copyfileobj(copy, sys.stdout.buffer)
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StoreError(f"{error.filename or 'standard output'}: {error.strerror or error}") from error
    _warn(answer)


def _warn(answer: dict[str, Any]) -> None:
    for warning in answer["warnings"]:
        say(f"warning: {warning}", err=True)


def _written(file: Path, force: bool, state: Path, socket: Path) -> dict[str, Any]:
    answer = control.ask(socket, "backup", patience=PATIENCE, file=str(file), force=force)
    if answer is not None:
        return dict(answer)
    from sidecar.store.database import FILE
    from sidecar.store.upkeep import at_rest

    if not (state / FILE).exists():
        raise UnavailableError(f"no service answers, and there is no database in {state}")
    return at_rest.backup(state, file, force=force)
