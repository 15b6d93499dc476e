"""`zmban self-test`: shows that a ban reaches the kernel, with an address that no host has."""

from __future__ import annotations

from pathlib import Path

import click

from sidecar.cli.output.printing import emit, json_options, say
from sidecar.cli.places import socket_option
from sidecar.configuration import loading
from sidecar.network import Network

# TEST-NET-2: no host has it, and the canary is in TEST-NET-3.
_DEFAULT = "198.51.100.253"


@click.command("self-test")
@click.argument("address", default=_DEFAULT)
@socket_option
@json_options
@click.pass_obj
def self_test(config: tuple[str, ...], address: str, socket: Path, as_json: bool, jsonl: bool) -> None:
    """Ban a documentation address, ask the kernel whether it refuses it, unban it, and ask again."""
    from sidecar.offline import ban_trial

    try:
        network = Network.parse(address)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if not network.single:
        raise click.UsageError(f"{address} is not a single address")
    record = ban_trial.run(socket, loading.load_or_empty(config).settings.kernel, network)
    if as_json or jsonl:
        emit([record], jsonl=jsonl)
    elif record["dry"]:
        say(f"{network}: banned and unbanned; dry run: the kernel was not to refuse it")
    else:
        refused, reachable = record["refused_after"], record["reachable_after"]
        say(f"{network}: banned, refused by the kernel after {refused:g} s")
        say(f"{network}: unbanned, not refused any more after {reachable:g} s")
