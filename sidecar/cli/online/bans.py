"""`zmban bans`: lists bans, from the service, or from its database if no service runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from sidecar.cli.online.ban_records import records
from sidecar.cli.output.printing import emit, json_options, say, table
from sidecar.cli.output.tables import WIDEST_NETWORK, Column, Row
from sidecar.cli.places import socket_option, state_option
from sidecar.local_time import moment
from sidecar.model import counted
from sidecar.network import Network
from sidecar.serve import control

_COLUMNS = (
    Column("network", floor=WIDEST_NETWORK),
    Column("jail", rank=1, least=8, floor=24),
    Column("since", rank=5, floor=19),
    Column("until", rank=3, floor=19),
    Column("enforced", rank=2, floor=9),
    Column("reason", rank=4, least=12),
)


@click.command()
@click.option("--jail", help="Only the bans of this jail.")
@click.option("--contains", metavar="ADDRESS", help="Only the bans that cover this address.")
@click.option("--all", "every", is_flag=True, help="Also the bans inside an enforced ban of a wider network.")
@state_option
@socket_option
@json_options
@click.pass_obj
def bans(
    config: tuple[str, ...],
    jail: str | None,
    contains: str | None,
    every: bool,
    state: Path,
    socket: Path,
    as_json: bool,
    jsonl: bool,
) -> None:
    """List the active bans."""
    try:
        if contains:
            Network.parse(contains)
    except ValueError as error:
        raise click.UsageError(f"--contains: {error}") from error
    found = records(config, state, socket, jail=jail, contains=contains, lines=as_json or jsonl)
    if as_json or jsonl:
        emit(found, jsonl=jsonl)
        return
    # A jail's ban may be inside that of another jail.
    if _show(found, fold=not (every or jail or contains)):
        for reason in (control.ask(socket, "status") or _NO_SERVICE)["not_enforced_because"]:
            say(f"not enforced: {reason}")


# Limit of suspension reasons in the summary.
_MOST_REASONS = 10
_NO_SERVICE = {"not_enforced_because": ["no service runs"]}


def _show(found: Iterator[dict[str, Any]], *, fold: bool) -> bool:
    """Print a row per ban while records arrive; with `fold` none for a ban inside a wider one. True if a ban
    that should be enforced is not."""
    number, hidden, unenforced, suspended = 0, 0, False, Counter[str]()

    def rows() -> Iterator[Row]:
        nonlocal number, hidden, unenforced
        for one in found:
            number += 1
            if one["suspended"]:
                suspended[one["suspended"]] += 1
            unenforced |= not (one["enforced"] or one["dry"] or one["suspended"])
            if fold and one["folded_into"]:
                hidden += 1
                continue
            network = one["network"] + (f" + {one['folded']} inside" if fold and one["folded"] else "")
            since, until = moment(one["since"]), moment(one["until"])
            yield network, one["jail"], since, until, _enforced(one), one["reason"]

    table(_COLUMNS, rows())
    say(counted(number, "ban"))
    if hidden:
        say(f"{hidden} of them inside bans of wider networks; --all shows them")
    for why, many in suspended.most_common(_MOST_REASONS):
        say(f"suspended: {many}, {why}")
    return unenforced


def _enforced(one: dict[str, Any]) -> str:
    if one["suspended"]:
        return "suspended"
    return "dry run" if one["dry"] else "yes" if one["enforced"] else "NO"
