"""`zmban unban`, `allow`, `disallow`: manual changes, sent to the running service."""

from __future__ import annotations

from pathlib import Path

import click

from sidecar.cli.online.manual.answer_text import report
from sidecar.cli.online.manual.reason_option import duration_option, reason_option
from sidecar.cli.output.printing import json_options
from sidecar.cli.places import ask, socket_option, until

_networks = click.argument("networks", nargs=-1, required=True, metavar="NETWORK...")


@click.command()
@_networks
@click.option("--jail", help="Only the ban of this jail.")
@socket_option
@json_options
def unban(networks: tuple[str, ...], jail: str | None, socket: Path, as_json: bool, jsonl: bool) -> None:
    """Lift bans, and clear the failures of these networks in all jails."""
    answers = ask(socket, "unban", networks=list(networks), jail=jail)
    report(answers, as_json=as_json, jsonl=jsonl)


@click.command()
@_networks
@reason_option
@duration_option
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
    report(answers, as_json=as_json, jsonl=jsonl)


@click.command()
@_networks
@socket_option
@json_options
def disallow(networks: tuple[str, ...], socket: Path, as_json: bool, jsonl: bool) -> None:
    """Remove networks from the allow-list."""
    answers = ask(socket, "disallow", networks=list(networks))
    report(answers, as_json=as_json, jsonl=jsonl)
