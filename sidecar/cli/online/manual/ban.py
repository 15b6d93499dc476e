"""`zmban ban`: bans networks manually, in the running service."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from sidecar.cli import UnavailableError
from sidecar.cli.online.manual.answer_text import MOST_SHOWN, UNCONFIRMED, doubts, report
from sidecar.cli.online.manual.evidence_option import lines as read_evidence
from sidecar.cli.online.manual.network_files import STDIN, Given, given
from sidecar.cli.online.manual.reason_option import duration_option, reason_option
from sidecar.cli.output.printing import json_options, progress, say
from sidecar.cli.places import ask, socket_option, until
from sidecar.model import counted
from sidecar.offline.arguments import kept_with_each

AUTO = "auto"
# More would get less than a line each.
_MOST_SEARCHED = 1000
# Networks per request: the service is busy for a few milliseconds at a time.
_CHUNK = 500
# Sends networks to the service; True as second argument confirms their bans.
Send = Callable[[Sequence[str], bool], list[dict[str, Any]]]


@click.command()
@click.argument("networks", nargs=-1, metavar="[NETWORK...]")
@click.option(
    "--file", "files", multiple=True, metavar="FILE|-", help="Networks to ban, one per line. Repeatable."
)
@reason_option
@duration_option
@click.option(
    "--evidence",
    metavar="FILE|-|auto",
    help="Log lines to store with each ban: up to 1,000 lines, 1 MiB. auto: search the logs for them.",
)
@click.option("--yes", is_flag=True, help="Also ban what must be confirmed, without a question.")
@click.option(
    "--force", is_flag=True, help="As --yes, also for networks wider than [kernel] widest_ipv4 or _ipv6."
)
@socket_option
@json_options
def ban(
    networks: tuple[str, ...],
    files: tuple[str, ...],
    reason: str,
    duration: str | None,
    evidence: str | None,
    yes: bool,
    force: bool,
    socket: Path,
    as_json: bool,
    jsonl: bool,
) -> None:
    """Ban networks manually. Returns after the routes are written and the bans are stored."""
    if not networks and not files:
        raise click.UsageError("give networks, or --file FILE")
    if (*files, evidence).count(STDIN) > 1:
        raise click.UsageError("standard input (-) can be read only once")
    entries, end = given(networks, files), until(duration)
    lines = read_evidence(None if evidence == AUTO else evidence)
    if evidence == AUTO and len(entries) > _MOST_SEARCHED:
        raise click.UsageError(f"--evidence auto searches for up to {_MOST_SEARCHED:,} networks at a time")
    try:
        kept_with_each(lines, entries)
    except ValueError as error:
        raise click.ClickException(str(error)) from error

    def send(part: Sequence[str], confirmed: bool) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = ask(
            socket, "ban", networks=list(part), reason=reason, until=end, evidence=lines,
            yes=confirmed, force=force,
        )  # fmt: skip
        return answers

    asks = not (yes or as_json or jsonl) and sys.stdin.isatty() and sys.stderr.isatty()
    answers = _asking(entries, send) if asks else _banned(entries, send, yes=yes)
    if evidence == AUTO:
        answers = _with_lines(answers, lambda banned: ask(socket, "evidence", networks=banned))
    report(answers, as_json=as_json, jsonl=jsonl, brief=len(entries) > MOST_SHOWN)


def _banned(entries: Sequence[Given], send: Send, *, yes: bool) -> Iterator[dict[str, Any]]:
    """Ban networks in chunks; yields the answer for each, in order."""
    with progress(len(entries), counting="networks", quiet=len(entries) <= _CHUNK) as bar:
        for start in range(0, len(entries), _CHUNK):
            part = entries[start : start + _CHUNK]
            answers = iter(_sent([str(one.network) for one in part if one.network], send, start, yes=yes))
            for one in part:
                answer = next(answers) if one.network else one.refusal()
                yield {**answer, **({"place": one.place} if one.place else {})}
            bar.advance(len(part))


def _sent(networks: Sequence[str], send: Send, done: int, *, yes: bool) -> list[dict[str, Any]]:
    try:
        return send(networks, yes) if networks else []
    except UnavailableError as error:
        if not done:
            raise
        text = f"the service stopped after the first {counted(done, 'network')}; run the command again"
        raise UnavailableError(text) from error


def _asking(entries: Sequence[Given], send: Send) -> Iterator[dict[str, Any]]:
    """As `_banned`; asks once for all bans that must be confirmed, after the others."""
    doubtful: list[dict[str, Any]] = []
    places: dict[str, Given] = {str(one.network): one for one in entries}
    for answer in _banned(entries, send, yes=False):
        if answer["result"] == "refused" and answer["reason"] == UNCONFIRMED:
            doubtful.append(answer)
        else:
            yield answer
    if doubtful and _confirmed(doubtful):
        yield from _banned([places[one["network"]] for one in doubtful], send, yes=True)
    else:
        yield from doubtful


def _confirmed(doubtful: Sequence[dict[str, Any]]) -> bool:
    """Ask on the terminal whether to ban these networks."""
    for one in doubtful[:MOST_SHOWN]:
        say(f"{one['network']}: {doubts(one)}", err=True)
    if (more := len(doubtful) - MOST_SHOWN) > 0:
        say(f"and {more:,} more", err=True)
    asked = "this network" if len(doubtful) == 1 else f"these {len(doubtful):,} networks"
    return click.confirm(f"Ban {asked}?", err=True)


def _with_lines(
    answers: Iterator[dict[str, Any]], search: Callable[[list[str]], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The answers, then what a search of the logs for the banned networks found."""
    banned = []
    for one in answers:
        yield one
        if one["result"] != "refused":
            banned.append(one["network"])
    if banned:
        yield {"event": "evidence", **search(banned)}
