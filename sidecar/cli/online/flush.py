"""`zmban flush` and `zmban resume`: the way out of a lockout, with or without a service or a database."""

from __future__ import annotations

from pathlib import Path

import click

from sidecar.cli import NO_PERMISSION
from sidecar.cli.output.printing import say
from sidecar.cli.places import ask, socket_option, state_option
from sidecar.model import counted
from sidecar.serve import control


@click.command()
@state_option
@socket_option
@click.pass_obj
def flush(config: tuple[str, ...], state: Path, socket: Path) -> None:
    """Take every route and rule of zmban out of the kernel; nothing is written until `resume`.

    Bans stay in the database. Works with or without a running service.
    """
    try:
        answer = control.ask(socket, "flush", patience=5.0)
    except control.RefusedError as error:
        # A service that hangs must not keep the way out shut; only a lack of rights does.
        if error.exit_code == NO_PERMISSION:
            raise
        answer = None
    if answer is not None:
        click.echo(f"{counted(answer['removed'], 'route')} removed; suspended until: zmban resume")
        return
    from sidecar.offline import emergency_flush

    removed, marked = emergency_flush.flush(config, state)
    click.echo(f"{counted(removed, 'route')} removed")
    if marked:
        click.echo("suspended until: zmban resume")
    else:
        say(f"{state} cannot be written: stop zmban, or it writes them again", err=True)


@click.command()
@socket_option
def resume(socket: Path) -> None:
    """End what `flush` began: write the bans into the kernel again."""
    answer = ask(socket, "resume")
    click.echo(f"resumed; {counted(answer['written'], 'route')} written")
