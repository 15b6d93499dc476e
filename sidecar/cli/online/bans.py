"""`zmban bans`: lists bans, from the service, or from its database if no service runs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from sidecar.app.protect.allow_list import allowed_because
from sidecar.cli import UnavailableError
from sidecar.cli.output.printing import emit, json_options, moment, say, table
from sidecar.cli.output.tables import WIDEST_NETWORK, Column, Row
from sidecar.cli.places import socket_option, state_option
from sidecar.kernel.backend import Entry
from sidecar.model import KernelError, counted
from sidecar.network import Network
from sidecar.records import ban_record
from sidecar.serve import control

_ROWS = 2000
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
    """List the active bans."""
    try:
        if contains:
            Network.parse(contains)
    except ValueError as error:
        raise click.UsageError(f"--contains: {error}") from error
    query: dict[str, Any] = {"jail": jail, "contains": contains, "lines": as_json or jsonl}
    first = control.ask(socket, "bans", **query)
    records = _offline(config, state, jail, contains) if first is None else _online(socket, first, query)
    if as_json or jsonl:
        emit(records, jsonl=jsonl)
        return
    if _show(records):
        for reason in (control.ask(socket, "status") or _NO_SERVICE)["not_enforced_because"]:
            say(f"not enforced: {reason}")


# Limit of suspension reasons in the summary.
_MOST_REASONS = 10
_NO_SERVICE = {"not_enforced_because": ["no service runs"]}


def _show(records: Iterator[dict[str, Any]]) -> bool:
    """Print a row per ban while records arrive. True if a ban that should be enforced is not."""
    number, unenforced, suspended = 0, False, Counter[str]()

    def rows() -> Iterator[Row]:
        nonlocal number, unenforced
        for one in records:
            number += 1
            if one["suspended"]:
                suspended[one["suspended"]] += 1
            unenforced |= not (one["enforced"] or one["dry"] or one["suspended"])
            since, until = moment(one["since"]), moment(one["until"])
            yield one["network"], one["jail"], since, until, _enforced(one), one["reason"]

    table(_COLUMNS, rows())
    say(counted(number, "ban"))
    for why, many in suspended.most_common(_MOST_REASONS):
        say(f"suspended: {many}, {why}")
    return unenforced


def _enforced(one: dict[str, Any]) -> str:
    if one["suspended"]:
        return "suspended"
    return "dry run" if one["dry"] else "yes" if one["enforced"] else "NO"


def _online(socket: Path, page: dict[str, Any], query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The bans of all pages; a page is requested when the one before it is consumed."""
    while True:
        yield from page["bans"]
        if page["next"] is None:
            return
        page = control.ask(socket, "bans", **query, after=page["next"], asked=page["asked"])
        if page is None:
            raise UnavailableError("the service stopped while the list was read: the list is incomplete")


def _offline(
    config: Sequence[str], state: Path, jail: str | None, contains: str | None
) -> Iterator[dict[str, Any]]:
    from sidecar.store.database import FILE, Database

    if not (state / FILE).exists():
        raise UnavailableError(f"no service answers, and there is no database in {state}")
    database = Database(state, read_only=True)
    inside, present = Network.parse(contains) if contains else None, _present(config)
    try:
        allowed = [a for a in database.allowed() if a.until is None or a.until > time.time()]
        rest: int | None = 0
        while rest is not None:
            found, rest = database.page(rest, _ROWS)
            for ban in found:
                if jail in (None, ban.jail) and (inside is None or ban.network.covers(inside)):
                    stands = present.get(ban.network) is Entry.BAN
                    why = allowed_because(allowed, ban.network)
                    yield ban_record(ban, enforced=stands, suspended=why)
    finally:
        database.close()


def _present(config: Sequence[str]) -> Mapping[Network, Entry]:
    """The entries in the kernel; empty if they cannot be read."""
    from sidecar.configuration import loading
    from sidecar.kernel import registry
    from sidecar.settings import read

    try:
        with closing(registry.make(read(loading.directories(config)).settings.kernel)) as backend:
            return backend.present()
    except KernelError:
        return {}
