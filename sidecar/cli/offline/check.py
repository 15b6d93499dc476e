"""`zmban check`: reads the whole configuration and prints every fault with file and line."""

from __future__ import annotations

import click

from sidecar.cli import CONFIG
from sidecar.cli.output.printing import emit, json_options, say
from sidecar.configuration import loading
from sidecar.configuration.loading import Loaded
from sidecar.model import Fault, counted
from sidecar.offline.check import host_check as checking
from sidecar.offline.check import suspected


@click.command()
@json_options
@click.pass_obj
def check(config: tuple[str, ...], as_json: bool, jsonl: bool) -> None:
    """Read the whole configuration and print every fault. Exit code 78 if a jail cannot run."""
    loaded = loading.load(config)
    faults = [*loaded.faults, *checking.surroundings(loaded), *suspected.faults(loaded)]
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
    # A fault of a filter is reported for each jail that uses it; print it once.
    for text in dict.fromkeys(map(str, faults)):
        say(text, whole=places)
    running, degraded, stopped = loaded.jails.jails, loaded.jails.degraded, loaded.jails.stopped
    can = f"{counted(len(running), 'jail')} can run ({', '.join(running) or 'none'})"
    of_them = f", {len(degraded)} of them degraded ({', '.join(sorted(degraded))})" if degraded else ""
    broken = f" ({', '.join(sorted(stopped))})" if stopped else ""
    say(f"{can}{of_them}; {len(stopped)} cannot{broken}")
