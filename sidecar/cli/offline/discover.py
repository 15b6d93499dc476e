"""`zmban discover`: finds Zimbra on this host and prints or writes the configuration for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import click

from sidecar.cli.output.printing import emit, json_options, say, table
from sidecar.configuration import loading
from sidecar.model import SourceError
from sidecar.network import Network
from sidecar.offline import discover_proposal
from sidecar.offline.check import suspected
from sidecar.offline.discover_proposal import DiscoveredHost, Hint, Proposal
from sidecar.sources.docker import docker_engine
from sidecar.sources.docker.docker_engine import ZimbraContainer

_IN_CONTAINER = Path("/.dockerenv")


@click.command()
@click.option(
    "--write",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write .env, compose.override.yaml, zmban.toml and jail.d/discovered.local to this directory.",
)
@click.option("--force", is_flag=True, help="With --write: overwrite existing files.")
@json_options
@click.pass_obj
def discover(
    config: tuple[str, ...], directory: Path | None, force: bool, as_json: bool, jsonl: bool
) -> None:
    """Find Zimbra and Carbonio in containers and on the host; print logs, networks and a configuration."""
    containers, rejected = _survey()
    found = [DiscoveredHost(container, _trusted(container)) for container in containers]
    if as_json or jsonl:
        emit([_record(one) for one in found], jsonl=jsonl)
    else:
        _show(found, rejected)
        for hint in _suspected_proxies(config):
            _section(hint.reason, hint.lines)
    if directory is not None:
        if not found:
            raise SourceError(f"no Zimbra found; nothing written to {directory}")
        for path in discover_proposal.write(
            directory, discover_proposal.files(discover_proposal.propose(found)), force=force
        ):
            say(f"wrote {path}", err=as_json or jsonl)


def _survey() -> tuple[list[ZimbraContainer], list[tuple[str, str]]]:
    """The Zimbra installations, and (name, reason) of each rejected container. If Docker does not answer,
    only the host is searched; SourceError if no Zimbra is installed there."""
    here = docker_engine.installed()
    try:
        survey = docker_engine.survey()
    except SourceError as error:
        if here is None:
            raise
        say(f"{error}; searched the host only", err=True)
        return [here], []
    # A log directory that is the volume of a container is not an installation on the host.
    volumes = {place for one in survey.taken for place in one.logs.values()}
    if here and f"{here.verdict.home}/log" not in volumes:
        return [*survey.taken, here], survey.passed
    return survey.taken, survey.passed


def _trusted(container: ZimbraContainer) -> tuple[Network, ...] | None:
    if not container.id:
        return None
    try:
        return docker_engine.trusted_ips(container)
    except SourceError as error:
        say(str(error), err=True)
        return None


def _suspected_proxies(config: tuple[str, ...]) -> Iterator[Hint]:
    """Proxies missing in the configuration, found in the readable logs of the jails."""
    seen = asyncio.run(suspected.seen(loading.load(config)))
    for one in seen.told():
        yield Hint(one["told"], (f"[trust] {one['proxies']}", one["zimbra"]))


def _record(one: DiscoveredHost) -> dict[str, object]:
    container, trusted = one.container, one.trusted
    return {
        "name": container.name,
        "image": container.image,
        "product": container.verdict.product,
        "role": container.verdict.role,
        "why": container.verdict.why,
        "logs": dict(container.logs),
        "networks": [str(n) for n in container.networks],
        "gateways": [n.address for n in container.gateways],
        "addresses": [n.address for n in container.addresses],
        "trusted": None if trusted is None else [n.address for n in trusted],
        "host_network": container.host_network,
    }


def _show(found: Sequence[DiscoveredHost], rejected: Iterable[tuple[str, str]]) -> None:
    if found:
        rows = [row for one in found for row in _rows(one.container)]
        table(("container", "image", "role", "logs", "on this host", "networks", "gateways"), rows)
    else:
        click.echo("no Zimbra found, neither in a running container nor on this host")
        if _IN_CONTAINER.exists():
            click.echo("zmban runs in a container: it sees other containers only, not the host itself")
    for one in found:
        say(f"{one.container.name} accepted: it {one.container.verdict.why}")
    for name, why in rejected:
        say(f"{name} rejected: it {why}")
    if found:
        _advise(discover_proposal.propose(found))


def _rows(c: ZimbraContainer) -> Iterator[tuple[str, ...]]:
    networks = "host" if c.host_network else _texts(c.networks)
    for inside, outside in c.logs.items():
        yield c.name, c.image, c.verdict.role, inside, outside or "no volume", networks, _texts(c.gateways)


def _texts(networks: Iterable[Network]) -> str:
    return ", ".join(n.address if n.single else str(n) for n in networks)


def _advise(proposed: Proposal) -> None:
    sections: Mapping[str, Sequence[str]] = {
        ".env beside compose.yaml": discover_proposal.environment(proposed),
        "compose.override.yaml": discover_proposal.override(proposed),
        "zmban.toml": discover_proposal.trust(proposed),
        "jail.d/discovered.local": discover_proposal.logpaths(proposed),
    }
    for title, lines in sections.items():
        _section(title, lines)
    for hint in proposed.hints:
        _section(hint.reason, hint.lines)


def _section(title: str, lines: Iterable[str]) -> None:
    say(f"# {title}")
    for line in lines:
        say(line)
    click.echo()
