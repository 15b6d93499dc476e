"""`zmban domain`: refuses sender domains by two maps for Postfix; needs no service."""

from __future__ import annotations

import getpass
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from sidecar import settings
from sidecar.cli import with_config
from sidecar.cli.domain.domain_answers import report, show_refusals, show_verdict
from sidecar.cli.online.manual.reason_option import duration_option
from sidecar.cli.output.printing import emit, json_options, say
from sidecar.cli.places import until
from sidecar.configuration import loading
from sidecar.domains.domain_maps import DomainMaps
from sidecar.model import ConfigError, SourceError, counted

_STDIN = "-"
_MOST_BYTES, _MOST_EVIDENCE = 256 << 20, 1 << 20


class _DomainGroup(click.Group):
    """Its commands take `--config` too."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        return command and with_config(command)


def directory_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option `--directory`; without it, the setting."""
    return click.option(
        "--directory",
        type=click.Path(path_type=Path, file_okay=False, readable=False),
        metavar="DIR",
        help="Directory of the maps. Default: [domains] directory, variable ZMBAN_DOMAINS_DIRECTORY.",
    )(command)


def maps(config: tuple[str, ...], directory: Path | None) -> DomainMaps:
    """The maps of this directory, or of the settings. ConfigError if there is neither."""
    found = settings.read(loading.directories(config))
    chosen = found.settings.domains
    for fault in found.faults:
        say(str(fault), err=True)
    if directory is None and not chosen.directory:
        raise ConfigError(
            "no directory for the maps of refused domains; set [domains] directory in zmban.toml or the "
            "variable ZMBAN_DOMAINS_DIRECTORY, or give --directory DIR"
        )
    return DomainMaps(directory or Path(chosen.directory), chosen.protect, chosen.nested)


def _who() -> str:
    """The name of the person: the user that became root, if any."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _lines(given: Iterable[str]) -> list[str]:
    """The texts of `--evidence`; `-` stands for standard input."""
    lines: list[str] = []
    for text in given:
        if text == _STDIN:
            lines += sys.stdin.buffer.read(_MOST_EVIDENCE).decode("utf-8", "replace").splitlines()
        else:
            lines.append(text)
    return lines


@click.group(cls=_DomainGroup)
def domain() -> None:
    """Refuse mail from sender domains, by two maps that Postfix reads."""


@domain.command()
@click.argument("domains", nargs=-1, required=True, metavar="DOMAIN...")
@click.option("--reason", default="", help="Reason, stored with the domain; senders read it too.")
@duration_option
@click.option(
    "--evidence", multiple=True, metavar="TEXT|-", help="A line to store with each domain. Repeatable."
)
@click.option("--yes", is_flag=True, help="Also refuse the domains of big providers.")
@directory_option
@json_options
@click.pass_obj
def add(
    config: tuple[str, ...], domains: tuple[str, ...], reason: str, duration: str | None,
    evidence: tuple[str, ...], yes: bool, directory: Path | None, as_json: bool, jsonl: bool,
) -> None:  # fmt: skip
    """Refuse domains with their sub-domains."""
    answers = maps(config, directory).add(
        domains,
        reason=reason,
        until=until(duration),
        evidence=_lines(evidence),
        by=_who(),
        now=time.time(),
        yes=yes,
    )
    report(answers, as_json=as_json, jsonl=jsonl)


@domain.command()
@click.argument("domains", nargs=-1, required=True, metavar="DOMAIN...")
@directory_option
@json_options
@click.pass_obj
def remove(
    config: tuple[str, ...], domains: tuple[str, ...], directory: Path | None, as_json: bool, jsonl: bool
) -> None:
    """Accept mail from domains again."""
    report(maps(config, directory).remove(domains), as_json=as_json, jsonl=jsonl)


@domain.command("list")
@click.argument("domains", nargs=-1, metavar="[DOMAIN...]")
@directory_option
@json_options
@click.pass_obj
def list_(
    config: tuple[str, ...], domains: tuple[str, ...], directory: Path | None, as_json: bool, jsonl: bool
) -> None:
    """List the refused domains; with DOMAIN, those that refuse these."""
    found = maps(config, directory)
    if domains:
        named = {one.domain: one for text in domains if (one := found.lookup(text))}
        refusals = list(named.values())
    else:
        refusals = found.refusals()
    now = time.time()
    refusals = [one for one in refusals if not one.ended(now)]
    if as_json or jsonl:
        emit((one.record() for one in refusals), jsonl=jsonl)
    else:
        show_refusals(refusals, found.foreign())


@domain.command()
@click.argument("subject", metavar="ADDRESS|DOMAIN|HEADER")
@directory_option
@json_options
@click.pass_obj
def test(config: tuple[str, ...], subject: str, directory: Path | None, as_json: bool, jsonl: bool) -> None:
    """Say what the maps do with an address, a domain or a header 'From: ...', and why."""
    found = maps(config, directory)
    verdict, foreign = found.judge(subject), found.foreign()
    if as_json or jsonl:
        emit([{**verdict.record(), "foreign": foreign}], jsonl=jsonl)
    else:
        show_verdict(subject, verdict, foreign)


@domain.command("import")
@click.argument("file", metavar="FILE|-")
@click.option("--yes", is_flag=True, help="Also refuse the domains of big providers.")
@directory_option
@json_options
@click.pass_obj
def import_(
    config: tuple[str, ...], file: str, yes: bool, directory: Path | None, as_json: bool, jsonl: bool
) -> None:
    """Take over a PCRE map, a hash map's source or a list of domains; other rules are kept word for word."""
    found = maps(config, directory)
    name = "standard input" if file == _STDIN else file
    try:
        data = sys.stdin.buffer.read(_MOST_BYTES) if file == _STDIN else Path(file).read_bytes()
    except OSError as error:
        raise SourceError(f"{file}: {error.strerror}") from error
    if b"\0" in data:
        raise SourceError(f"{name}: is not text; give the source of the map, not its .db or .lmdb")
    text = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    answers = found.import_map(text, name, by=_who(), now=time.time(), yes=yes)
    report(answers, as_json=as_json, jsonl=jsonl)


@domain.command()
@directory_option
@json_options
@click.pass_obj
def refresh(config: tuple[str, ...], directory: Path | None, as_json: bool, jsonl: bool) -> None:
    """Write both maps as the settings say, and drop domains whose end is reached."""
    found = maps(config, directory)
    dropped = found.expire(time.time())
    if as_json or jsonl:
        emit((one.record() for one in dropped), jsonl=jsonl)
        return
    refused = len(found.refusals())
    say(f"{counted(refused, 'domain is', 'domains are')} refused; {len(dropped)} dropped")
