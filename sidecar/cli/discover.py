"""`zmban discover`: the Zimbra containers of this host, and the lines for compose and configuration."""

from __future__ import annotations

from collections.abc import Iterable

import click

from sidecar.cli.output import emit, json_options, say, table
from sidecar.model import SourceError
from sidecar.network import Network
from sidecar.sources.docker import ZimbraContainer, trusted_ips, zimbra_containers

_LOOPBACK = (Network.parse("127.0.0.1"), Network.parse("::1"))


@click.command()
@json_options
def discover(as_json: bool, jsonl: bool) -> None:
    """Find Zimbra's containers through Docker; print their logs, networks and what to configure."""
    found = zimbra_containers()
    if as_json or jsonl:
        emit([_record(container, _trusted(container)) for container in found], jsonl=jsonl)
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
        _advise(container, _trusted(container))


def _trusted(container: ZimbraContainer) -> tuple[Network, ...] | None:
    try:
        return trusted_ips(container)
    except SourceError as error:
        say(str(error), err=True)
        return None


def _record(container: ZimbraContainer, trusted: tuple[Network, ...] | None) -> dict[str, object]:
    return {
        "name": container.name,
        "image": container.image,
        "logs": dict(container.logs),
        "networks": [str(n) for n in container.networks],
        "gateways": [n.address for n in container.gateways],
        "addresses": [n.address for n in container.addresses],
        "trusted": None if trusted is None else [n.address for n in trusted],
        "host_network": container.host_network,
    }


def _texts(networks: Iterable[Network]) -> str:
    return "\n".join(n.address if n.single else str(n) for n in networks)


def _quoted(networks: Iterable[Network]) -> str:
    return ", ".join(f'"{n.address if n.single else n}"' for n in networks)


def _advise(container: ZimbraContainer, trusted: tuple[Network, ...] | None) -> None:
    logs, syslog = container.logs["/opt/zimbra/log"], container.logs["/var/log"]
    say(f"# .env beside compose.yaml, for {container.name}")
    say(f"ZIMBRA_LOG_DIR={logs}" if logs else "# /opt/zimbra/log lies in no volume: add one to Zimbra")
    say(f"ZIMBRA_SYSLOG_DIR={syslog}" if syslog else "# /var/log lies in no volume: add one to Zimbra")
    click.echo("\n# zmban.toml")
    click.echo("[trust]")
    # Zimbra's own proxy reaches mailboxd by the container's own address: its word is believed.
    proxies = dict.fromkeys((*container.addresses, *(trusted or ())))
    say(f"proxies = [{_quoted(n for n in proxies if n not in _LOOPBACK)}]")
    say(f"gateways = [{_quoted(container.gateways)}]")
    say(f"networks = [{_quoted(container.networks)}]")
    click.echo()
    unknown = [n.address for n in container.addresses if trusted is not None and n not in trusted]
    if unknown:
        click.echo(
            "# mailboxd does not believe its own proxy, and logs no client. As zimbra in the container:"
        )
        click.echo("\n".join(f"zmprov mcf +zimbraMailTrustedIP {address}" for address in unknown))
        click.echo("zmmailboxdctl restart\n")
