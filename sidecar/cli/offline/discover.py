"""`zmban discover`: the Zimbra of this host, and the lines for compose and configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import click

from sidecar.app.protect import suspecting
from sidecar.cli.output.printing import emit, json_options, say, table
from sidecar.configuration import loading
from sidecar.model import SourceError
from sidecar.network import Network
from sidecar.offline import discover_proposal
from sidecar.offline.discover_proposal import Found, Hint, Proposal
from sidecar.sources.docker import engine
from sidecar.sources.docker.engine import ZimbraContainer

_IN_CONTAINER = Path("/.dockerenv")


@click.command()
@click.option(
    "--write",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write .env, compose.override.yaml, zmban.toml and jail.d/discovered.local into this directory.",
)
@click.option("--force", is_flag=True, help="With --write: overwrite the files that are there.")
@json_options
@click.pass_obj
def discover(
    config: tuple[str, ...], directory: Path | None, force: bool, as_json: bool, jsonl: bool
) -> None:
    """Find Zimbra in containers and on the host itself; print its logs, networks and what to configure."""
    containers, passed = _look()
    found = [Found(container, _trusted(container)) for container in containers]
    if as_json or jsonl:
        emit([_record(one) for one in found], jsonl=jsonl)
    else:
        _show(found, passed)
        for hint in _relays(config):
            _section(hint.reason, hint.lines)
    if directory is not None:
        if not found:
            raise SourceError(f"no Zimbra was found, so nothing is written into {directory}")
        for path in discover_proposal.write(
            directory, discover_proposal.files(discover_proposal.propose(found)), force=force
        ):
            say(f"wrote {path}", err=as_json or jsonl)


def _look() -> tuple[list[ZimbraContainer], list[tuple[str, str]]]:
    """Every Zimbra here, and what could be taken for one. Without a Docker that answers, the host alone."""
    here = engine.installed()
    try:
        survey = engine.survey()
    except SourceError as error:
        if here is None:
            raise
        say(f"{error}; only the host itself was looked at", err=True)
        return [here], []
    # A directory of the host that is a container's volume is no installation.
    volumes = {place for one in survey.taken for place in one.logs.values()}
    if here and f"{here.verdict.home}/log" not in volumes:
        return [*survey.taken, here], survey.passed
    return survey.taken, survey.passed


def _trusted(container: ZimbraContainer) -> tuple[Network, ...] | None:
    if not container.id:
        return None
    try:
        return engine.trusted_ips(container)
    except SourceError as error:
        say(str(error), err=True)
        return None


def _relays(config: tuple[str, ...]) -> Iterator[Hint]:
    """The proxies that nobody named, as the logs of the jails show them, as far as they can be read from
    here."""
    seen = asyncio.run(suspecting.seen(loading.load(config)))
    for one in seen.told():
        yield Hint(one["told"], (f"[trust] {one['proxies']}", one["zimbra"]))


def _record(one: Found) -> dict[str, object]:
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


def _show(found: Sequence[Found], passed: Iterable[tuple[str, str]]) -> None:
    if found:
        rows = [row for one in found for row in _rows(one.container)]
        table(("container", "image", "role", "logs", "on this host", "networks", "gateways"), rows)
    else:
        click.echo("no Zimbra was found: neither in a container that runs nor on this host")
        if _IN_CONTAINER.exists():
            click.echo(
                "zmban itself runs in a container here: of the host it sees nothing but what Docker tells"
            )
    for one in found:
        say(f"{one.container.name} is taken: it {one.container.verdict.why}")
    for name, why in passed:
        say(f"{name} is passed over: it {why}")
    if found:
        _advise(discover_proposal.propose(found))


def _rows(c: ZimbraContainer) -> Iterator[tuple[str, ...]]:
    networks = "host" if c.host_network else _texts(c.networks)
    for inside, outside in c.logs.items():
        yield c.name, c.image, c.verdict.role, inside, outside or "in no volume", networks, _texts(c.gateways)


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
