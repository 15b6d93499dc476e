"""`zmban ban`, `unban`, `allow`, `disallow`: what a person tells the running service."""

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
    """Bytes of a terminal that does not speak UTF-8 become replacement characters."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


_reason = click.option(
    "--reason", required=True, callback=_text, help="Why; one line of 1 KiB at most, kept with the ban."
)
_for = click.option(
    "--for",
    "duration",
    metavar="DURATION",
    help="How long (10m, 1d12h), 100 years at most; default, and -1: for ever.",
)


def _report(answers: list[dict[str, Any]], *, as_json: bool, jsonl: bool) -> None:
    if as_json or jsonl:
        emit(answers, jsonl=jsonl)
    else:
        for one in answers:
            extra = f" ({one['reason']})" if one["result"] == "refused" else ""
            extra += _preview(one) + _bans(one)
            wider = one.get("still_covered_by")
            extra += f"; still covered by {', '.join(wider)}" if wider else ""
            say(f"{one['network']}: {one['result']}{extra}", err=one["result"] == "refused")
    if any(one["result"] == "refused" for one in answers):
        raise click.exceptions.Exit(DATA)


def _preview(answer: dict[str, Any]) -> str:
    """What a network that is wider than may be banned covers."""
    if "covers" not in answer:
        return ""
    covers = answer["covers"]
    text = f": {covers['addresses']:,} {plural(covers['addresses'], 'address', 'addresses')}"
    text += f", {counted(covers['bans'], 'ban that stands', 'bans that stand')}"
    refused = answer["result"] == "refused"
    if "kept_reachable" not in covers:
        return text + ("; --force allows it, and suspends them as long" if refused else "")
    kept = counted(covers["kept_reachable"], "network in it is", "networks in it are")
    text += f", {kept} kept reachable"
    if covers["good_logins"]:
        good = counted(covers["good_logins"], "address", "addresses")
        text += f", {good} from which somebody logged in lately"
    if covers["delivered_to"]:
        text += f", {counted(covers['delivered_to'], 'mail server')} that we deal with"
    return text + ("; --force bans it" if refused else "")


def _bans(answer: dict[str, Any]) -> str:
    """What becomes of the bans inside a network that is allowed, or no more."""
    if number := answer.get("suspended"):
        return f"; {counted(number, 'ban inside is', 'bans inside are')} suspended as long"
    number = answer.get("enforced")
    return f"; {counted(number, 'ban inside is', 'bans inside are')} enforced again" if number else ""


@click.command()
@_networks
@_reason
@_for
@click.option(
    "--evidence",
    metavar="FILE|-",
    help="The log lines that led to it, kept with each ban: 1,000 lines, 1 MiB at most.",
)
@click.option("--force", is_flag=True, help="Ban also what is wider than [kernel] widest_ipv4 or _ipv6.")
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
    """Ban networks by hand; the answer comes when they are refused and written down."""
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
    """Lift bans, and forget the failures of these networks in every window."""
    _report(ask(socket, "unban", networks=list(networks), jail=jail), as_json=as_json, jsonl=jsonl)


@click.command()
@_networks
@_reason
@_for
@click.option("--force", is_flag=True, help="Allow also what is wider than [kernel] widest_ipv4 or _ipv6.")
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
    """Never ban these until then (an announced security test, a customer on the telephone)."""
    end = until(duration)
    answers = ask(socket, "allow", networks=list(networks), reason=reason, until=end, force=force)
    _report(answers, as_json=as_json, jsonl=jsonl)


@click.command()
@_networks
@socket_option
@json_options
def disallow(networks: tuple[str, ...], socket: Path, as_json: bool, jsonl: bool) -> None:
    """End what `allow` began."""
    _report(ask(socket, "disallow", networks=list(networks)), as_json=as_json, jsonl=jsonl)
