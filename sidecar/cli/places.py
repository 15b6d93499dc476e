"""The places that a command works on: state directory and control socket, as options and variables."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sidecar.cli import UnavailableError
from sidecar.fail2ban.durations import seconds
from sidecar.model import Instant
from sidecar.serve import control


def state_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--state DIR`."""
    return click.option(
        "--state",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="ZMBAN_STATE",
        default=Path("/var/lib/zmban"),
        show_default=True,
        help="Directory of the database.",
    )(command)


def socket_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--socket PATH`."""
    return click.option(
        "--socket",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="ZMBAN_SOCKET",
        default=Path("/run/zmban/control.sock"),
        show_default=True,
        help="Control socket of the service.",
    )(command)


def ask(socket: Path, command: str, **arguments: Any) -> Any:
    """Ask the service; UnavailableError (69) where none runs."""
    answer = control.ask(socket, command, **arguments)
    if answer is None:
        raise UnavailableError(f"no service answers at {socket}; start it with zmban run, or name --socket")
    return answer


def until(duration: str | None) -> Instant | None:
    """The end of `--for DURATION`, from now on; None is for ever."""
    if duration is None:
        return None
    try:
        length = seconds(duration)
    except ValueError as error:
        raise click.UsageError(f"--for: {error}") from error
    if length == -1:
        return None
    if length <= 0:
        raise click.UsageError(f"--for {duration}: not in the future")
    return time.time() + length
