"""`zmban reload`: the running service reloads its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sidecar.cli import CONFIG
from sidecar.cli.output.printing import emit, json_options, say
from sidecar.cli.places import ask, socket_option
from sidecar.model import counted


@click.command()
@click.option("--lift", is_flag=True, help="Also lift the bans of removed jails.")
@socket_option
@json_options
def reload(lift: bool, socket: Path, as_json: bool, jsonl: bool) -> None:
    """Reload the configuration. If it has faults, nothing changes and the exit code is 78."""
    answer = ask(socket, "reload", lift=lift)
    if as_json or jsonl:
        emit([answer], jsonl=jsonl)
    else:
        _show(answer)
    if answer["result"] == "refused":
        raise click.exceptions.Exit(CONFIG)


def _show(answer: dict[str, Any]) -> None:
    if answer["result"] == "refused":
        for fault in answer["faults"]:
            say(fault, err=True)
        say("configuration not changed: the previous one stays in use", err=True)
        return
    for warning in answer["warnings"]:
        say(warning, err=True)
    for one in answer["jails"]:
        options = f": {', '.join(one['options'])}" if one["options"] else ""
        say(f"jail {one['jail']} {one['change']}{options}")
    for key in answer["settings"]:
        say(f"{key} changed")
    for key in answer["restart"]:
        say(f"{key} takes effect after a restart")
    if answer["lifted"]:
        say(f"{counted(answer['lifted'], 'ban')} lifted")
    if not (answer["jails"] or answer["settings"] or answer["restart"]):
        say("nothing changed")
