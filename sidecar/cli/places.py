"""The places that a command works on: state directory and control socket, as options and variables."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import click

from sidecar.cli import UnavailableError
from sidecar.fail2ban.syntax.durations import length
from sidecar.model import Instant
from sidecar.serve import control

Command: TypeAlias = Callable[..., Any]


def _place(name: str, default: str, text: str, *, directory: bool) -> Callable[[Command], Command]:
    """An option that names a place on disk, and a variable ZMBAN_NAME for it."""
    return click.option(
        f"--{name}",
        # What may not be read is no reason not to start: bans go on, and the service says so.
        type=click.Path(path_type=Path, file_okay=not directory, dir_okay=directory, readable=False),
        envvar=f"ZMBAN_{name.upper()}",
        default=Path(default),
        show_default=True,
        help=text,
    )


state_option = _place("state", "/var/lib/zmban", "Directory of the database.", directory=True)
socket_option = _place("socket", "/run/zmban/control.sock", "Control socket of the service.", directory=False)


def ask(socket: Path, command: str, **arguments: Any) -> Any:
    """Ask the service; UnavailableError (69) where none runs."""
    answer = control.ask(socket, command, **arguments)
    if answer is None:
        raise UnavailableError(control.nobody(socket))
    return answer


def until(duration: str | None) -> Instant | None:
    """The end of `--for DURATION`, from now on; None is for ever."""
    # Fail2Ban's word for ever is -1.
    if duration is None or duration.strip() == "-1":
        return None
    try:
        return time.time() + length(duration)
    except ValueError as error:
        raise click.UsageError(f"--for: {error}") from error
