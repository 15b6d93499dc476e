"""The options `--state` and `--socket`, their environment variables, and requests to the service."""

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


def _path_option(name: str, default: str, text: str, *, directory: bool) -> Callable[[Command], Command]:
    """An option for a path, also read from the environment variable ZMBAN_NAME."""
    return click.option(
        f"--{name}",
        # Do not require read permission: the service starts without its state, and reports that.
        type=click.Path(path_type=Path, file_okay=not directory, dir_okay=directory, readable=False),
        envvar=f"ZMBAN_{name.upper()}",
        default=Path(default),
        show_default=True,
        help=text,
    )


state_option = _path_option("state", "/var/lib/zmban", "Directory of the database.", directory=True)
socket_option = _path_option(
    "socket", "/run/zmban/control.sock", "Control socket of the service.", directory=False
)


def ask(socket: Path, command: str, **arguments: Any) -> Any:
    """Send a command to the service and return its answer. UnavailableError (69) if no service runs."""
    answer = control.ask(socket, command, **arguments)
    if answer is None:
        raise UnavailableError(control.why_no_service(socket))
    return answer


def until(duration: str | None) -> Instant | None:
    """The end of `--for DURATION`, counted from now; None means permanent."""
    # -1 means permanent in Fail2Ban.
    if duration is None or duration.strip() == "-1":
        return None
    try:
        return time.time() + length(duration)
    except ValueError as error:
        raise click.UsageError(f"--for: {error}") from error
