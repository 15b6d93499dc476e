"""`zmban flush` and `zmban resume`: recovery from a lockout, with or without a service or a database."""

from __future__ import annotations

from pathlib import Path

import click

from sidecar.cli import NO_PERMISSION
from sidecar.cli.output.printing import say
from sidecar.cli.places import ask, socket_option, state_option
from sidecar.model import counted
from sidecar.serve import control


@click.command()
@click.option(
    "--uninstall",
    is_flag=True,
    help="Only without a running service: leave no suspension, so that a later start enforces bans.",
)
@state_option
@socket_option
@click.pass_obj
def flush(config: tuple[str, ...], uninstall: bool, state: Path, socket: Path) -> None:
    """Remove all routes, rules and nftables rules of zmban from the kernel; write none until `resume`.

    Bans stay in the database. Works with or without a running service.
    """
    if uninstall:
        from sidecar.offline import emergency_flush

        removed = emergency_flush.uninstall(config, state)
        click.echo(f"{counted(removed, 'route')} removed; bans stay in {state}, the next start enforces them")
        return
    try:
        answer = control.ask(socket, "flush", patience=5.0)
    except control.RefusedError as error:
        # If the service hangs, flush without it. Missing rights would fail there too.
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
        say(f"{state} is not writable: stop zmban, or it writes the routes again", err=True)


@click.command()
@socket_option
def resume(socket: Path) -> None:
    """End the suspension by `flush`: write the routes of all bans again."""
    answer = ask(socket, "resume")
    click.echo(f"resumed; {counted(answer['written'], 'route')} written")
