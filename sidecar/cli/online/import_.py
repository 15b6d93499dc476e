"""`zmban import`: takes over the bans of a Fail2Ban database, or of a list of networks."""

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

# So many that were not taken are shown to a person; programs get them all.
_MOST_SHOWN = 20
_COLUMNS = (
    # A network stays whole; text of a list that is none may be long.
    Column("what", least=WIDEST_NETWORK),
    Column("where", rank=2, least=8),
    Column("not imported", rank=3, least=12),
)
_WORDS = {
    "banned": "banned",
    "extended": "extended",
    "history": "for the history",
    "unchanged": "known already",
    "lifted": "lifted here before",
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
    """Take over the bans and the history of a Fail2Ban database, or a list of networks, one a line.

    Goes through the service, or into its database where none runs. Doing it again changes nothing.
    """
    reader = _Reader(config)
    with incoming.read(file, time.time(), reader.bantime, state) as found:
        told, counts = _taken(found, reader, state, socket)
    summary = {"event": "summary", "file": str(file), "kind": found.kind, **{w: counts[w] for w in _WORDS}}
    if as_json or jsonl:
        emit([*told, summary], jsonl=jsonl)
    else:
        _show(told, summary)
    wrong = [one for one in told if one["event"] == "refused" or _bad(one, found.kind)]
    if wrong:
        raise click.exceptions.Exit(DATA)


# A keyword of Python cannot be the name of a function, but it is the name of the command.
globals()["import"] = import_


def _bad(one: dict[str, Any], kind: str) -> bool:
    """Fail2Ban also bans names of users and hosts, so those are no fault of its database."""
    return one["event"] == "skipped" and (kind == "list" or one["reason"] == "unreadable")


class _Reader:
    """The jails of the configuration, read when they are needed and only once."""

    def __init__(self, config: tuple[str, ...]) -> None:
        self._config = config
        self.jails = cache(self._jails)

    def _jails(self) -> Any:
        from sidecar.configuration import loading

        return loading.load(self._config).jails.jails

    def bantime(self, jail: str) -> Seconds | None:
        """How long the jail of this name bans (None: for ever); Fail2Ban's default where none runs."""
        jails = self.jails()
        return jails[jail].bantime if jail in jails else DEFAULT_BANTIME


def _taken(
    found: Incoming, reader: _Reader, state: Path, socket: Path
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Carry it out; those that were not taken, and how many became what."""
    skipped: list[dict[str, Any]] = []
    with progress(found.bytes) as bar:

        def bans() -> Iterator[list[dict[str, Any]]]:
            skipped.clear()
            for chunk in found.chunks():
                skipped.extend(chunk.skipped)
                yield chunk.bans
                bar.advance(chunk.bytes)

        answers = _through_the_service(socket, bans())
        if answers is None:
            from sidecar.app.bans.importer import into_state

            answers = into_state(state, reader.jails(), bans())
    told, counts = skipped, Counter(skipped=len(skipped))
    for answer in answers:
        told += answer["told"]
        counts.update(answer["counts"])
    return told, counts


def _through_the_service(socket: Path, chunks: Iterator[list[dict[str, Any]]]) -> list[dict[str, Any]] | None:
    """The service's answers; None where none answers from the start."""
    answers: list[dict[str, Any]] = []
    for chunk in chunks:
        answer = control.ask(socket, "import", records=chunk)
        if answer is None:
            if not answers:
                return None
            raise UnavailableError(
                "the service ended meanwhile; what it answered for is kept, and importing again does the rest"
            )
        answers.append(answer)
    return answers


def _show(told: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    rows = [
        (
            one.get("network") or one["text"],
            one.get("jail") or one["place"],
            " ".join(filter(None, (one["event"], one.get("reason")))),
        )
        for one in told[:_MOST_SHOWN]
    ]
    if rows:
        table(_COLUMNS, rows)
    if len(told) > len(rows):
        click.echo(f"and {len(told) - len(rows)} more; --jsonl names all")
    counts = ", ".join(f"{summary[name]} {word}" for name, word in _WORDS.items() if summary[name])
    say(f"{summary['file']}: {counts or 'nothing to import'}")
    if summary["lifted"]:
        say("whom a person lifted stays lifted; zmban ban bans again")
