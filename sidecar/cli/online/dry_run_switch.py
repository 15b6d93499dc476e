"""`zmban dry-run`: switch dry run of a jail while the service runs."""

from __future__ import annotations

from pathlib import Path

import click

from sidecar.cli.output.printing import emit, json_options, say
from sidecar.cli.places import ask, socket_option

_STATES = {"on": True, "off": False, "default": None}


@click.command("dry-run")
@click.argument("jail")
@click.argument("state", type=click.Choice(list(_STATES)), metavar="on|off|default")
@socket_option
@json_options
def dry_run(jail: str, state: str, socket: Path, as_json: bool, jsonl: bool) -> None:
    """Switch dry run of a jail on, off, or to what is configured. The switch survives a restart.

    Bans that were decided in dry run stay dry; bans that are enforced stay enforced.
    """
    answer = ask(socket, "dry-run", jail=jail, dry_run=_STATES[state])
    if as_json or jsonl:
        emit([answer], jsonl=jsonl)
        return
    does = {True: "is a dry run", False: "enforces its bans", None: "is not running"}[answer["dry_run"]]
    say(f"{answer['jail']} {does}, {'as configured' if answer['switched'] is None else 'switched'}")
