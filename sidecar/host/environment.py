"""What the host itself says must never be cut off: its addresses, gateways, resolvers, Zimbra's networks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sidecar.configuration import loading
from sidecar.fail2ban.jails import JailSpec
from sidecar.host.namespace_check import NamespaceCheck, whereabouts
from sidecar.model import ZmbanError
from sidecar.network import Network
from sidecar.settings import Settings
from sidecar.sources.docker import engine
from sidecar.sources.docker.engine import ZimbraContainer

_log = logging.getLogger("zmban")

_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class HostEnvironment:
    """`protected`: reason and networks that no ban may touch. `reachable`: kept so under a wider ban only.
    `whereabouts`: whether bans reach the mail server's packets. `near`: who speaks for clients on this host,
    its own addresses and Zimbra's containers. `inside`: the networks that are ours; `gateways`: those of
    container networks, by which Docker may bring anybody."""

    protected: Mapping[str, tuple[Network, ...]]
    reachable: tuple[Network, ...] = ()
    whereabouts: NamespaceCheck = field(default_factory=NamespaceCheck)
    near: tuple[Network, ...] = ()
    inside: tuple[Network, ...] = ()
    gateways: tuple[Network, ...] = ()


async def look(settings: Settings, jails: Iterable[JailSpec]) -> HostEnvironment:
    """Ask kernel, resolver files and, where its socket is mounted, Docker. Configuration adds to it."""
    protected = {reason: [*networks] for reason, networks in loading.protected(settings).items()}
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
    containers = await _in_time(asyncio.to_thread(_zimbra_containers))
    networks = [network for one in containers for network in one.networks]
    protected["ignored"] += networks
    own, trust = protected["own-address"], settings.trust
    # The host's own address on a bridge is no proxy of its own accord: behind it may be anybody.
    gateways = {*trust.gateways, *(gateway for one in containers for gateway in one.gateways)}
    near = [*own, *(address for one in containers for address in one.addresses)]
    return HostEnvironment(
        {reason: tuple(networks) for reason, networks in protected.items()},
        tuple(reachable),
        whereabouts(settings, containers),
        tuple(network for network in near if network not in gateways),
        (*own, *reachable, *networks, *gateways, *trust.networks),
        tuple(sorted(gateways)),
    )


async def _in_time(asking: Coroutine[Any, Any, list[ZimbraContainer]]) -> list[ZimbraContainer]:
    """What Docker says, if it says it soon: routes do not wait for an engine that hangs."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await asking
    except TimeoutError:
        _log.warning("Docker does not answer within %g s; it is asked again later", _PATIENCE_SECONDS)
        return []


def _zimbra_containers() -> list[ZimbraContainer]:
    if not engine.SOCKET.exists():
        return []
    try:
        return engine.zimbra_containers()
    except ZmbanError as error:
        _log.warning("Docker does not answer (%s); write Zimbra's networks into [trust] networks", error)
        return []
