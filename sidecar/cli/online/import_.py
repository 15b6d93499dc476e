"""`zmban import`: imports the bans of a Fail2Ban database, of an export, or of a list of networks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click

from sidecar.cli import DATA, UnavailableError
from sidecar.cli.output.printing import emit, json_options, progress, say, table
from sidecar.cli.output.tables import WIDEST_NETWORK, Column
from sidecar.cli.places import socket_option, state_option
from sidecar.model import Seconds
from sidecar.serve import control
from sidecar.store.imports import incoming
from sidecar.store.imports.fail2ban_database import DEFAULT_BANTIME
from sidecar.store.imports.incoming import Incoming

# Limit of rejected entries in the table; --json and --jsonl print all.
_MOST_SHOWN = 20
_COLUMNS = (
    # Never shorten a network; an invalid entry of a list may be shortened.
    Column("what", least=WIDEST_NETWORK),
    Column("where", rank=2, least=8),
    Column("not imported", rank=3, least=12),
)
# What can become of an entry (a key in the summary), with its text.
_OUTCOMES = {
    "banned": "banned",
    "extended": "extended",
    "history": "added to the history",
    "unchanged": "already known",
    "lifted": "lifted manually before",
    "refused": "refused",
    "skipped": "skipped",
}


@click.command("import")
@click.argument(
    "file", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False, readable=False)
)
@state_option
@socket_option
@json_options
@click.pass_obj
def import_(
    config: tuple[str, ...], file: Path, state: Path, socket: Path, as_json: bool, jsonl: bool
) -> None:
    """Import the bans and history of a Fail2Ban database, an export of zmban, or a list of networks.

    Uses the service, or its database if no service runs. A repeated import changes nothing.
    """
    jails = _Jails(config)
    with incoming.read(file, time.time(), jails.bantime, state) as found:
        rejected, counts = _import(found, jails, state, socket)
    summary: dict[str, Any] = {"event": "summary", "file": str(file), "kind": found.kind}
    summary |= {outcome: counts[outcome] for outcome in _OUTCOMES}
    if as_json or jsonl:
        emit([*rejected, summary], jsonl=jsonl)
    else:
        _show(rejected, summary)
    if any(one["event"] == "refused" or _is_fault(one, found.kind) for one in rejected):
        raise click.exceptions.Exit(DATA)


def _is_fault(one: dict[str, Any], kind: str) -> bool:
    """Whether a skipped entry is a fault. Fail2Ban also bans user and host names, so in its database they are
    valid entries."""
    return one["event"] == "skipped" and (kind != "fail2ban" or one["reason"] == "unreadable")


class _Jails:
    """The jails of the configuration, loaded once, on first use."""

    def __init__(self, config: tuple[str, ...]) -> None:
        self._config = config
        self.all = cache(self._load)

    def _load(self) -> Any:
        from sidecar.configuration import loading

        return loading.load(self._config).jails.jails

    def bantime(self, jail: str) -> Seconds | None:
        """The ban length of a jail (None: permanent); Fail2Ban's default for an unknown or stopped jail."""
        jails = self.all()
        return jails[jail].bantime if jail in jails else DEFAULT_BANTIME


def _import(
    found: Incoming, jails: _Jails, state: Path, socket: Path
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Import all entries; returns those not imported, and the number of entries per outcome."""
    skipped: list[dict[str, Any]] = []
    with progress(found.bytes) as bar:

        def bans() -> Iterator[list[dict[str, Any]]]:
            skipped.clear()
            for chunk in found.chunks():
                skipped.extend(chunk.skipped)
                yield chunk.bans
                bar.advance(chunk.bytes)

        answers = _import_online(socket, bans())
        if answers is None:
            from sidecar.offline.import_state import into_state

            answers = into_state(state, jails.all(), bans())
    rejected, counts = skipped, Counter(skipped=len(skipped))
    for answer in answers:
        rejected += answer["told"]
        counts.update(answer["counts"])
    return rejected, counts


def _import_online(socket: Path, chunks: Iterator[list[dict[str, Any]]]) -> list[dict[str, Any]] | None:
    """The service's answers; None if no service runs."""
    answers: list[dict[str, Any]] = []
    for chunk in chunks:
        answer = control.ask(socket, "import", records=chunk)
        if answer is None:
            if not answers:
                return None
            raise UnavailableError(
                "the service stopped during the import; a part is imported: run the import again"
            )
        answers.append(answer)
    return answers


def _show(rejected: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    rows = [
        (
            one.get("network") or one["text"],
            one.get("jail") or one["place"],
            " ".join(filter(None, (one["event"], one.get("reason")))),
        )
        for one in rejected[:_MOST_SHOWN]
    ]
    if rows:
        table(_COLUMNS, rows)
    if len(rejected) > len(rows):
        click.echo(f"and {len(rejected) - len(rows)} more; --jsonl lists all")
    counts = ", ".join(f"{summary[name]} {text}" for name, text in _OUTCOMES.items() if summary[name])
    say(f"{summary['file']}: {counts or 'nothing to import'}")
    if summary["lifted"]:
        say("bans that were lifted manually before stay lifted; zmban ban bans these networks again")
