"""`zmban bans`: who is banned; from the service, or from its database where none runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from sidecar.app import orders
from sidecar.cli import UnavailableError
from sidecar.cli.output import emit, json_options, moment, say, table
from sidecar.cli.places import socket_option, state_option
from sidecar.model import KernelError
from sidecar.network import Network
from sidecar.serve import control


@click.command()
@click.option("--jail", help="Only the bans of this jail.")
@click.option("--contains", metavar="ADDRESS", help="Only the bans that cover this address.")
@state_option
@socket_option
@json_options
@click.pass_obj
def bans(
    config: tuple[str, ...],
    jail: str | None,
    contains: str | None,
    state: Path,
    socket: Path,
    as_json: bool,
    jsonl: bool,
) -> None:
    """List the bans that stand."""
    try:
        records = control.ask(socket, "bans", jail=jail, contains=contains)
        if records is None:
            records = _offline(config, state, jail, contains)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if as_json or jsonl:
        emit(records, jsonl=jsonl)
        return
    rows = [
        (r["network"], r["jail"], moment(r["since"]), moment(r["until"]), _enforced(r), r["reason"])
        for r in records
    ]
    table(("network", "jail", "since", "until", "enforced", "reason"), rows, f"{len(rows)} bans")
    if any(not (r["enforced"] or r["dry"]) for r in records):
        for reason in (control.ask(socket, "status") or _NO_SERVICE)["not_enforced_because"]:
            say(f"not enforced: {reason}")


_NO_SERVICE = {"not_enforced_because": ["no service runs"]}


def _enforced(record: dict[str, Any]) -> str:
    return "dry run" if record["dry"] else "yes" if record["enforced"] else "NO"


def _offline(
    config: Sequence[str], state: Path, jail: str | None, contains: str | None
) -> list[dict[str, Any]]:
    from sidecar.store.database import FILE, Database

    if not (state / FILE).exists():
        raise UnavailableError(f"no service answers, and there is no database in {state}")
    database = Database(state, read_only=True)
    try:
        found = orders.selected(database.bans(), jail, contains)
    finally:
        database.close()
    present = _present(config)
    return [orders.record(ban, present) for ban in found]


def _present(config: Sequence[str]) -> Mapping[Network, Any]:
    """What the kernel holds; nothing where it may not be read."""
    from sidecar.app import configuration
    from sidecar.kernel.routes import RoutingTable
    from sidecar.settings import load

    try:
        return RoutingTable(load(configuration.directories(config)).kernel.table).present()
    except KernelError:
        return {}
