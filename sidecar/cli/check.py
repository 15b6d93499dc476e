"""`zmban check`: the whole configuration, every fault with its file and line."""

from __future__ import annotations

import click

from sidecar.app import check as checking
from sidecar.app import configuration
from sidecar.cli import CONFIG
from sidecar.cli.output import emit, json_options


@click.command()
@json_options
@click.pass_obj
def check(config: tuple[str, ...], as_json: bool, jsonl: bool) -> None:
    """Read the whole configuration and print every fault; exit 78 if a jail cannot run."""
    loaded = configuration.load(config)
    faults = [*loaded.jails.faults, *checking.surroundings(loaded)]
    if as_json or jsonl:
        records = [
            {"file": f.file, "line": f.line, "message": f.message, "jail": f.jail, "warning": f.warning}
            for f in faults
        ]
        emit(records, jsonl=jsonl)
    else:
        for fault in faults:
            click.echo(str(fault))
        running, broken = loaded.jails.jails, loaded.jails.broken
        click.echo(f"{len(running)} jails can run ({', '.join(running) or 'none'}); {len(broken)} cannot")
    if any(not fault.warning for fault in faults):
        raise click.exceptions.Exit(CONFIG)
