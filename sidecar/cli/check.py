"""`zmban check`: the whole configuration, every fault with its file and line."""

from __future__ import annotations

import click

from sidecar.app import check as checking
from sidecar.app import configuration
from sidecar.app.configuration import Loaded
from sidecar.cli import CONFIG
from sidecar.cli.output import emit, json_options, say
from sidecar.model import Fault, counted


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
        _show(loaded, faults)
    if any(not fault.warning for fault in faults):
        raise click.exceptions.Exit(CONFIG)


def _show(loaded: Loaded, faults: list[Fault]) -> None:
    places = [*(fault.file for fault in faults), *map(str, loaded.files.directories)]
    # One fault of a filter concerns each jail that has it, and is mended once.
    for text in dict.fromkeys(map(str, faults)):
        say(text, whole=places)
    running, broken = ", ".join(loaded.jails.jails), ", ".join(sorted(loaded.jails.broken))
    can = f"{counted(len(loaded.jails.jails), 'jail')} can run ({running or 'none'})"
    say(f"{can}; {len(loaded.jails.broken)} cannot{f' ({broken})' if broken else ''}")
