"""`zmban flush` and `zmban resume`: the way out of a lockout, with or without a service or a database."""

from __future__ import annotations

from pathlib import Path

import click

from sidecar.cli.places import ask, socket_option, state_option
from sidecar.serve import control


@click.command()
@state_option
@socket_option
@click.pass_obj
def flush(config: tuple[str, ...], state: Path, socket: Path) -> None:
    """Take every route and rule of zmban out of the kernel; nothing is written until `resume`.

    Bans stay in the database. Works with or without a running service.
    """
    answer = control.ask(socket, "flush")
    removed = answer["removed"] if answer is not None else _alone(config, state)
    click.echo(f"{removed} routes removed; suspended until: zmban resume")


def _alone(config: tuple[str, ...], state: Path) -> int:
    from sidecar.app import emergency

    return emergency.flush(config, state)


@click.command()
@socket_option
def resume(socket: Path) -> None:
    """End what `flush` began: write the bans into the kernel again."""
    answer = ask(socket, "resume")
    click.echo(f"resumed; {answer['written']} routes written")
