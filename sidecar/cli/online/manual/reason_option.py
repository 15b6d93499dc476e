"""The options `--reason` and `--for` of commands for networks."""

from __future__ import annotations

import click


def _text(_: click.Context, __: click.Parameter, value: str) -> str:
    """Replace bytes that are not UTF-8 by replacement characters."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


reason_option = click.option(
    "--reason", required=True, callback=_text, help="Reason, stored with the entry; one line, up to 1 KiB."
)
duration_option = click.option(
    "--for",
    "duration",
    metavar="DURATION",
    help="Duration (10m, 1d12h), up to 100 years. Default, and -1: permanent.",
)
