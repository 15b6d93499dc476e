"""`zmban ban`, `unban`, `allow`, `disallow`: manual changes, sent to the running service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sidecar.cli import DATA
from sidecar.cli.online.evidence_option import lines as read_evidence
from sidecar.cli.output.printing import emit, json_options, say
from sidecar.cli.places import ask, socket_option, until
from sidecar.model import counted, plural

_networks = click.argument("networks", nargs=-1, required=True, metavar="NETWORK...")


def _text(_: click.Context, __: click.Parameter, value: str) -> str:
    """Replace bytes that are not UTF-8 by replacement characters."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


_reason = click.option(
    "--reason", required=True, callback=_text, help="Reason, stored with the entry; one line, up to 1 KiB."
)
_for = click.option(
    "--for",
    "duration",
    metavar="DURATION",
    help="Duration (10m, 1d12h), up to 100 years. Default, and -1: permanent.",
)


def _report(answers: list[dict[str, Any]], *, as_json: bool, jsonl: bool) -> None:
    if as_json or jsonl:
        emit(answers, jsonl=jsonl)
    else:
        for one in answers:
            extra = f" ({one['reason']})" if one["result"] == "refused" else ""
            extra += _covered(one) + _changed_bans(one)
            wider = one.get("still_covered_by")
            extra += f"; still covered by {', '.join(wider)}" if wider else ""
            say(f"{one['network']}: {one['result']}{extra}", err=one["result"] == "refused")
    if any(one["result"] == "refused" for one in answers):
        raise click.exceptions.Exit(DATA)


def _covered(answer: dict[str, Any]) -> str:
    """What a network covers that is wider than the configured limit."""
    if "covers" not in answer:
        return ""
    covers = answer["covers"]
    text = f": {covers['addresses']:,} {plural(covers['addresses'], 'address', 'addresses')}"
    text += f", {counted(covers['bans'], 'active ban')}"
    refused = answer["result"] == "refused"
    if "kept_reachable" not in covers:
        return text + ("; --force allows it and suspends these bans" if refused else "")
    kept = counted(covers["kept_reachable"], "network")
    text += f", {kept} kept reachable"
    if covers["good_logins"]:
        good = counted(covers["good_logins"], "address", "addresses")
        text += f", {good} with recent successful logins"
    if covers["delivered_to"]:
        text += f", {counted(covers['delivered_to'], 'known mail server')}"
    return text + ("; --force bans it" if refused else "")


def _changed_bans(answer: dict[str, Any]) -> str:
    """How many bans inside the network are suspended by `allow`, or enforced again by `disallow`."""
    if number := answer.get("suspended"):
        return f"; {counted(number, 'ban inside is', 'bans inside are')} suspended"
    number = answer.get("enforced")
    return f"; {counted(number, 'ban inside is', 'bans inside are')} enforced again" if number else ""


@click.command()
@_networks
@_reason
@_for
@click.option(
    "--evidence",
    metavar="FILE|-",
    help="Log lines to store with each ban: up to 1,000 lines, 1 MiB.",
)
@click.option("--force", is_flag=True, help="Also ban a network wider than [kernel] widest_ipv4 or _ipv6.")
@socket_option
@json_options
def ban(
    networks: tuple[str, ...],
    reason: str,
    duration: str | None,
    evidence: str | None,
    force: bool,
    socket: Path,
    as_json: bool,
    jsonl: bool,
) -> None:
    """Ban networks manually. Returns after the routes are written and the bans are stored."""
    answers = ask(
        socket,
        "ban",
        networks=list(networks),
        reason=reason,
        until=until(duration),
        evidence=read_evidence(evidence),
        force=force,
    )
    _report(answers, as_json=as_json, jsonl=jsonl)


@click.command()
@_networks
@click.option("--jail", help="Only the ban of this jail.")
@socket_option
@json_options
def unban(networks: tuple[str, ...], jail: str | None, socket: Path, as_json: bool, jsonl: bool) -> None:
    """Lift bans, and clear the failures of these networks in all jails."""
    _report(ask(socket, "unban", networks=list(networks), jail=jail), as_json=as_json, jsonl=jsonl)


@click.command()
@_networks
@_reason
@_for
@click.option("--force", is_flag=True, help="Also allow a network wider than [kernel] widest_ipv4 or _ipv6.")
@socket_option
@json_options
def allow(
    networks: tuple[str, ...],
    reason: str,
    duration: str | None,
    force: bool,
    socket: Path,
    as_json: bool,
    jsonl: bool,
) -> None:
    """Exempt networks from bans for a time (an announced security test, a customer on the telephone)."""
    end = until(duration)
    answers = ask(socket, "allow", networks=list(networks), reason=reason, until=end, force=force)
    _report(answers, as_json=as_json, jsonl=jsonl)


@click.command()
@_networks
@socket_option
@json_options
def disallow(networks: tuple[str, ...], socket: Path, as_json: bool, jsonl: bool) -> None:
    """Remove networks from the allow-list."""
    _report(ask(socket, "disallow", networks=list(networks)), as_json=as_json, jsonl=jsonl)
