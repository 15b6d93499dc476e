"""What the host itself says must never be cut off: its addresses, gateways, resolvers, Zimbra's networks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sidecar.app import configuration
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import ZmbanError
from sidecar.network import Network
from sidecar.settings import Settings

_log = logging.getLogger("zmban")


@dataclass(frozen=True)
class Surroundings:
    """`protected`: reason and networks that no ban may touch. `reachable`: kept so under a wider ban only."""

    protected: Mapping[str, tuple[Network, ...]]
    reachable: tuple[Network, ...] = ()


async def look(settings: Settings, jails: Iterable[JailSpec]) -> Surroundings:
    """Ask kernel, resolver files and, where its socket is mounted, Docker. Configuration adds to it."""
    protected = {reason: [*networks] for reason, networks in configuration.protected(settings).items()}
    # What every jail ignores is ignored by all; what one jail ignores is that jail's own affair.
    ignored = [set(jail.ignoreip) for jail in jails]
    protected["ignored"] += sorted(set.intersection(*ignored)) if ignored else []
    reachable: list[Network] = []
    try:
        from sidecar.kernel.host import host_facts

        facts = await asyncio.to_thread(host_facts)
        protected["own-address"] += facts.own
        protected["gateway"] += facts.gateways
        protected["ignored"] += facts.resolvers
        reachable += facts.connected
    except ZmbanError as error:
        _log.warning(
            "the host's own addresses are not known (%s); [trust] own and gateways stand alone", error
        )
    protected["ignored"] += await asyncio.to_thread(_zimbra_networks)
    return Surroundings({reason: tuple(networks) for reason, networks in protected.items()}, tuple(reachable))


def _zimbra_networks() -> list[Network]:
    from sidecar.sources import docker

    if not docker.SOCKET.exists():
        return []
    try:
        return [network for found in docker.zimbra_containers() for network in found.networks]
    except ZmbanError as error:
        _log.warning("Docker does not answer (%s); write Zimbra's networks into [trust] networks", error)
        return []
