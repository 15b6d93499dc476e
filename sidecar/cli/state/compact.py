"""`zmban compact`: rebuilds the database without unused space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sidecar.cli import UnavailableError
from sidecar.cli.output.printing import emit, json_options, say
from sidecar.cli.places import socket_option, state_option
from sidecar.serve import control

# A slow disk may need minutes for a database of many bans.
PATIENCE = 3600.0


@click.command()
@state_option
@socket_option
@json_options
def compact(state: Path, socket: Path, as_json: bool, jsonl: bool) -> None:
    """Rebuild the database without unused space. The service does this by itself if it takes less than 2 s.

    Uses the service, or the database in --state if no service runs.
    """
    answer = control.ask(socket, "compact", patience=PATIENCE) or _offline(state)
    if as_json or jsonl:
        emit([answer], jsonl=jsonl)
    else:
        say(f"database compacted: {answer['before']:,} bytes before, {answer['after']:,} after")


def _offline(state: Path) -> dict[str, Any]:
    from sidecar.store.database import FILE
    from sidecar.store.upkeep import at_rest

    if not (state / FILE).exists():
        raise UnavailableError(f"no service answers, and there is no database in {state}")
    return at_rest.compact(state)
