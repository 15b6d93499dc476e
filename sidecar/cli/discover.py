"""`zmban discover`: the Zimbra containers of this host, and the lines for compose and configuration."""

from __future__ import annotations

from collections.abc import Iterable

import click

from sidecar.cli.output import emit, json_options, table
from sidecar.network import Network
from sidecar.sources.docker import ZimbraContainer, zimbra_containers


@click.command()
@json_options
def discover(as_json: bool, jsonl: bool) -> None:
    """Find Zimbra's containers through Docker; print their logs, networks and what to configure."""
    found = zimbra_containers()
    if as_json or jsonl:
        emit([_record(container) for container in found], jsonl=jsonl)
        return
    if not found:
        click.echo(
            "no running container looks like Zimbra (an image of that name, or a volume on /opt/zimbra)"
        )
        return
    rows = [
        (
            c.name,
            c.image,
            "\n".join(f"{inside} = {outside or 'in no volume'}" for inside, outside in c.logs.items()),
            "host" if c.host_network else _texts(c.networks),
            _texts(c.gateways),
        )
        for c in found
    ]
    table(("container", "image", "logs", "networks", "gateways"), rows)
    for container in found:
        _advise(container)


def _record(container: ZimbraContainer) -> dict[str, object]:
    return {
        "name": container.name,
        "image": container.image,
        "logs": dict(container.logs),
        "networks": [str(n) for n in container.networks],
        "gateways": [n.address for n in container.gateways],
        "addresses": [n.address for n in container.addresses],
        "host_network": container.host_network,
    }


def _texts(networks: Iterable[Network]) -> str:
    return "\n".join(n.address if n.single else str(n) for n in networks)


def _quoted(networks: Iterable[Network]) -> str:
    return ", ".join(f'"{n.address if n.single else n}"' for n in networks)


def _advise(container: ZimbraContainer) -> None:
    logs, syslog = container.logs["/opt/zimbra/log"], container.logs["/var/log"]
    click.echo(f"# .env beside compose.yaml, for {container.name}")
    click.echo(f"ZIMBRA_LOG_DIR={logs}" if logs else "# /opt/zimbra/log lies in no volume: add one to Zimbra")
    click.echo(f"ZIMBRA_SYSLOG_DIR={syslog}" if syslog else "# /var/log lies in no volume: add one to Zimbra")
    click.echo("\n# zmban.toml")
    click.echo("[trust]")
    # Zimbra's own proxy reaches mailboxd by the container's own address: its word is believed.
    click.echo(f"proxies = [{_quoted(container.addresses)}]")
    click.echo(f"gateways = [{_quoted(container.gateways)}]")
    click.echo(f"networks = [{_quoted(container.networks)}]\n")
