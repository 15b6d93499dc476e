"""`zmban notify`: sends a test message to each target of [notify]."""

from __future__ import annotations

from pathlib import Path

import click

from sidecar.cli import CONFIG, UNAVAILABLE
from sidecar.cli.output.printing import emit, json_options, say
from sidecar.cli.places import ask, socket_option


@click.command()
@socket_option
@json_options
def notify(socket: Path, as_json: bool, jsonl: bool) -> None:
    """Send a test message to each target of [notify], and print whether it was accepted."""
    answers = ask(socket, "notify")
    if as_json or jsonl:
        emit(answers, jsonl=jsonl)
    for one in answers if not (as_json or jsonl) else ():
        say(f"{one['target']}: {one['result']}" + (f": {one['reason']}" if one["reason"] else ""))
    if not answers:
        say("no target: set webhooks, webhooks_file or mail_to in [notify]", err=True)
        raise click.exceptions.Exit(CONFIG)
    if any(one["result"] == "failed" for one in answers):
        raise click.exceptions.Exit(UNAVAILABLE)
