"""`zmban cluster`: shows this host and the others of its group, makes keys, leaves the group."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from sidecar import settings
from sidecar.cli.output.printing import emit, emit_document, json_options, say, table
from sidecar.cli.places import ask, socket_option
from sidecar.configuration import loading
from sidecar.delivery.secret_file import read_secret
from sidecar.model import ConfigError, StoreError, counted

_COLUMNS = ("host", "here", "lag", "bans", "waiting", "refused", "version")


@click.group()
def cluster() -> None:
    """The other hosts that share bans, counts and known-good clients with this one."""


@cluster.command()
@socket_option
@json_options
def status(socket: Path, as_json: bool, jsonl: bool) -> None:
    """Whether this host is connected, and what waits to be told to the others."""
    _show(ask(socket, "cluster", do="status"), as_json=as_json or jsonl)


@cluster.command()
@socket_option
@json_options
def peers(socket: Path, as_json: bool, jsonl: bool) -> None:
    """The other hosts: when they were last heard of, their bans, what was refused of them."""
    found = ask(socket, "cluster", do="peers")["peers"]
    if as_json or jsonl:
        emit(found, jsonl=jsonl)
        return
    table(_COLUMNS, ([_cell(peer, name) for name in _COLUMNS] for peer in found))


@cluster.command()
@socket_option
@json_options
def leave(socket: Path, as_json: bool, jsonl: bool) -> None:
    """Leave the group until the next start, and delete what this host wrote in Redis."""
    _show(ask(socket, "cluster", do="leave"), as_json=as_json or jsonl)


@cluster.command()
@click.option(
    "--new", type=click.Path(path_type=Path), metavar="FILE", help="Write a new key into this file."
)
@click.pass_obj
def keys(config: tuple[str, ...], new: Path | None) -> None:
    """Print the line that the other hosts write into [cluster] trust."""
    # cryptography is imported here only.
    from sidecar.app.cluster.setup import host_name
    from sidecar.cluster.host_keys import HostKeys, new_key

    found = settings.read(loading.directories(config)).settings.cluster
    if new is not None:
        text, public = new_key()
        _create(new, text)
    elif found.key_file:
        try:
            public = HostKeys("", read_secret(found.key_file), {}).public
        except ValueError as error:
            raise ConfigError(f"[cluster] key_file {error}") from None
    else:
        raise ConfigError("[cluster] key_file is not set; to make a key: zmban cluster keys --new FILE")
    say(f"{host_name(found)}={public}")


def _create(file: Path, text: str) -> None:
    """A file for its owner only; never over another one."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(text)
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}") from error


def _show(record: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_document(record)
        return
    state = "connected" if record["up"] else f"alone: {record['failing']}"
    say(f"{record['host']} in group {record['group']}: {state}")
    say(f"{record['here']} of {counted(record['peers'], 'other host')} here")
    say(f"{counted(record['due'], 'decision')} to tell, {counted(record['to_count'], 'failure')} to count")
    if record["waiting"]:
        say(f"{counted(record['waiting'], 'decision')} of other hosts wait for their quota")
    refused = {**record["refused"], **({"forged failures": record["forged"]} if record["forged"] else {})}
    if refused:
        say(f"refused: {', '.join(f'{number} {reason}' for reason, number in sorted(refused.items()))}")


def _cell(peer: dict[str, Any], name: str) -> str:
    value = peer[name]
    if name == "refused":
        return ", ".join(f"{number} {reason}" for reason, number in sorted(value.items())) or "-"
    if name == "here":
        return "yes" if value else "no"
    return f"{value:.3f} s" if name == "lag" else str(value) or "-"
