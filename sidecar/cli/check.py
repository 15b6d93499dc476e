"""`zmban check`: the whole configuration, every fault with its file and line."""

from __future__ import annotations

import click

from sidecar.app import check as checking
from sidecar.app import configuration, suspecting
from sidecar.cli import CONFIG
from sidecar.cli.output import emit, json_options
from sidecar.model import printable


@click.command()
@json_options
@click.pass_obj
def check(config: tuple[str, ...], as_json: bool, jsonl: bool) -> None:
    """Read the whole configuration and print every fault; exit 78 if a jail cannot run."""
    loaded = configuration.load(config)
    faults = [*loaded.faults, *checking.surroundings(loaded), *suspecting.faults(loaded)]
    if as_json or jsonl:
        records = [
            {"file": f.file, "line": f.line, "message": f.message, "jail": f.jail, "warning": f.warning}
            for f in faults
        ]
        emit(records, jsonl=jsonl)
    else:
        # One fault of a filter concerns each jail that has it, and is mended once.
        for text in dict.fromkeys(map(str, faults)):
            click.echo(printable(text))
        running, broken = ", ".join(loaded.jails.jails), ", ".join(sorted(loaded.jails.stopped))
        can = f"{len(loaded.jails.jails)} jails can run ({running or 'none'})"
        cannot = f"{len(loaded.jails.stopped)} cannot{f' ({broken})' if broken else ''}"
        click.echo(printable(f"{can}; {cannot}"))
    if any(not fault.warning for fault in faults):
        raise click.exceptions.Exit(CONFIG)
