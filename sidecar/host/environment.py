"""Finds the networks that must never be banned: own addresses, gateways, resolvers, networks of Zimbra."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sidecar.configuration import loading
from sidecar.fail2ban.jails import JailSpec
from sidecar.host.namespace_check import NamespaceCheck, check_namespace
from sidecar.model import ZmbanError
from sidecar.network import Network
from sidecar.settings import Settings
from sidecar.sources.docker import docker_engine
from sidecar.sources.docker.docker_engine import ZimbraContainer

_log = logging.getLogger("zmban")

_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class HostEnvironment:
    """`protected`: networks that must never be banned, by reason. `reachable`: networks that stay reachable
    under a wider ban, but can be banned themselves. `namespace`: whether routes here affect the packets of
    the mail server. `near`: possible proxies on this host, its own addresses and the Zimbra containers.
    `inside`: all own networks. `gateways`: gateways of container networks, the source address of any client
    behind the userland proxy of Docker."""

    protected: Mapping[str, tuple[Network, ...]]
    reachable: tuple[Network, ...] = ()
    namespace: NamespaceCheck = field(default_factory=NamespaceCheck)
    near: tuple[Network, ...] = ()
    inside: tuple[Network, ...] = ()
    gateways: tuple[Network, ...] = ()


async def look(settings: Settings, jails: Iterable[JailSpec]) -> HostEnvironment:
    """Ask the kernel, the resolver files and, if its socket is mounted, Docker; add configured networks."""
    protected = {reason: [*networks] for reason, networks in loading.protected(settings).items()}
    # Only networks that all jails ignore are protected; the others are ignored by their jail.
    ignored = [set(jail.ignoreip) for jail in jails]
    protected["ignored"] += sorted(set.intersection(*ignored)) if ignored else []
    reachable: list[Network] = []
    try:
        from sidecar.kernel.facts.host_facts import host_facts

        facts = await asyncio.to_thread(host_facts)
        protected["own-address"] += facts.own
        protected["gateway"] += facts.gateways
        protected["ignored"] += facts.resolvers
        reachable += facts.connected
    except ZmbanError as error:
        _log.warning(
            "own addresses of the host unknown (%s); only [trust] own and gateways are protected", error
        )
    containers = await _in_time(asyncio.to_thread(_zimbra_containers))
    networks = [network for one in containers for network in one.networks]
    protected["ignored"] += networks
    own, trust = protected["own-address"], settings.trust
    # The address of the host on a bridge is not a proxy by itself: any client may appear under it.
    gateways = {*trust.gateways, *(gateway for one in containers for gateway in one.gateways)}
    near = [*own, *(address for one in containers for address in one.addresses)]
    return HostEnvironment(
        {reason: tuple(networks) for reason, networks in protected.items()},
        tuple(reachable),
        check_namespace(settings, containers),
        tuple(network for network in near if network not in gateways),
        (*own, *reachable, *networks, *gateways, *trust.networks),
        tuple(sorted(gateways)),
    )


async def _in_time(asking: Coroutine[Any, Any, list[ZimbraContainer]]) -> list[ZimbraContainer]:
    """The containers if Docker responds in time, else none: routes must not wait for Docker."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await asking
    except TimeoutError:
        _log.warning("no response from Docker within %g s; asking again later", _PATIENCE_SECONDS)
        return []


def _zimbra_containers() -> list[ZimbraContainer]:
    if not docker_engine.SOCKET.exists():
        return []
    try:
        return docker_engine.zimbra_containers()
    except ZmbanError as error:
        _log.warning("no response from Docker (%s); add the networks of Zimbra to [trust] networks", error)
        return []
