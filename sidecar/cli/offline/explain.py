"""`zmban explain`: why an address, network or account is or is not banned; or what a log line does."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from sidecar.cli.output.printing import EPOCH, emit, json_options, say
from sidecar.cli.places import ask, socket_option
from sidecar.configuration import loading
from sidecar.detect.grammar import LOGS
from sidecar.local_time import moment
from sidecar.sources.container.container_line import plain_line


@click.command()
@click.argument("subject", metavar="ADDRESS|NETWORK|ACCOUNT|LINE")
@click.option(
    "--log", "kind", type=click.Choice(list(LOGS)), help="The log that LINE is from; LINE - reads stdin."
)
@click.option("--all", "everything", is_flag=True, help="With --log: use all jails, enabled or not.")
@click.option("--now", type=EPOCH, metavar="EPOCH", help="With --log: the current time. Default: now.")
@click.option("--timezone", metavar="TZ", help="With --log: time zone of dates without one.")
@socket_option
@json_options
@click.pass_obj
def explain(
    config: tuple[str, ...], subject: str, kind: str | None, everything: bool, now: float | None,
    timezone: str | None, socket: Path, as_json: bool, jsonl: bool,
) -> None:  # fmt: skip
    """Explain why an address, network or account is or is not banned; with --log, what a log line does."""
    if kind is None:
        record = ask(socket, "explain", subject=subject)
        if as_json or jsonl:
            emit([record], jsonl=jsonl)
        else:
            _show_subject(record)
        return
    from sidecar.offline.lines.explain_line import LineExplainer

    zone = loading.zone(timezone) if timezone else None
    lines = LineExplainer(loading.load(config), kind, everything=everything, zone=zone)
    records = lines.explain(_lines(subject), time.time() if now is None else now)
    if as_json or jsonl:
        emit(records, jsonl=jsonl)
        return
    for record in records:
        _show_line(record, kind, everything=everything)


def _lines(subject: str) -> Iterable[str]:
    """The lines as a jail gets them, also out of the log of a container."""
    raw = [subject.encode("utf-8", "surrogateescape")] if subject != "-" else sys.stdin.buffer
    return (plain_line(one.rstrip(b"\n")).decode("utf-8", "surrogateescape") for one in raw)


def _show_line(record: Mapping[str, Any], kind: str, *, everything: bool) -> None:
    """Client, account, fields, filters and decision of one line."""
    _say(f"client    {record['client'] or 'none: the server names no client'}")
    _say(f"account   {record['account'] or '-'}")
    for name, value in record["fields"].items():
        _say(f"  {name} = {value[:200]}")
    for match in record["matches"]:
        verdict = f"not counted: {match['reason']}" if match["reason"] else "counts"
        host = f", names {match['host']}" if match["host"] else ""
        _say(f"filter    {match['filter']} of jail {match['jail']}{host}: {verdict}")
    if record["good"]:
        _say("good      a successful login")
    reason = record["reason"]
    if reason == "no-jail":
        reason = (
            f"no jail reads {kind}" if everything else f"no enabled jail reads {kind}; --all tries all jails"
        )
    decision = "counts against the client" if record["counts"] else f"does not count: {reason}"
    _say(f"decision  {decision}")


def _say(text: str) -> None:
    """Print one line; continuation lines are indented to the text behind the label."""
    say(text, indent=10)


def _show_subject(record: Mapping[str, Any]) -> None:
    """The verdict, the bans with their evidence, the current failures, and the protection of a subject."""
    _say(f"{record['subject']}: {record['verdict']}")
    for ban in record["bans"]:
        until = f"until {moment(ban['until'])}" if ban["until"] else "for ever"
        word = "dry run: " if ban["dry"] else ""
        _say(f"banned    {word}{ban['network']} by {ban['jail']} since {moment(ban['since'])} {until}")
        _say(f"          {ban['reason']}")
        for line in ban["evidence"]:
            _say(f"          | {line}")
    for failing in record["failures"]:
        counted = f"{failing['failures']} of {failing['maxretry']}"
        _say(f"failing   {failing['network']} in {failing['jail']}: {counted}")
    for reason in record["protected"]:
        _say(f"protected {reason}")
