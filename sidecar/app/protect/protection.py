"""Who must never be cut off: told to guard and kernel, at the start and whenever something around changes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sidecar.bans.guard import Guard
from sidecar.host import environment
from sidecar.network import Network

if TYPE_CHECKING:
    from sidecar.app.service import Service

_log = logging.getLogger("zmban")


def protect(service: Service) -> None:
    """Bans that would cut somebody off rest as long; the caller reconciles. At the start, after `allow` and
    `disallow`, a reload, and when the host's networks change."""
    around = service.surroundings
    protected = {reason: [*networks] for reason, networks in around.protected.items()}
    protected["ignored"] = [*protected.get("ignored", []), *service.allowed]
    protected["trusted-proxy"] = [*protected.get("trusted-proxy", []), *service.believed]
    service.suspects.know(service.settings.trust, around, service.believed)
    kernel = service.settings.kernel
    guard = Guard(protected, {4: kernel.widest_ipv4, 6: kernel.widest_ipv6})
    service.judge.spare(guard, service.suspects.networks())
    service.enforcer.throws = guard.throws() | set(around.reachable)
    before = service.table.resting.total()
    suspend_spared(service)
    if (now := service.table.resting.total()) != before:
        _log.info("%d bans are suspended: their networks are allowed, protected or ignored", now)
    service.metrics.active(service.table)


def suspend_spared(service: Service) -> None:
    """The bans of whom nobody may ban rest, and no others do; the caller reconciles."""
    service.enforcer.mark_due(service.table.rest(service.judge.spared()))


async def look_around(service: Service) -> bool:
    """Take over what changed around: a network that came up, a gateway, a container's bridge. Whether
    anything changed; the caller reconciles then."""
    async with service.arranging:
        ignoring = await service.ignoring.look()
        changed = any(service.jails[name] != jail for name, jail in ignoring.items())
        service.jails |= ignoring
        for name, jail in ignoring.items():
            service.judge.ignore(name, jail.ignoreip)
        around = await environment.look(service.settings, service.jails.values())
        changed |= around != service.surroundings
        if changed:
            service.surroundings = around
            protect(service)
        return changed


async def believe(service: Service, proxies: set[Network]) -> None:
    """From now on these are proxies too, which nobody may ban."""
    if proxies != service.believed:
        service.believed = proxies
        protect(service)
        await service.reconcile()
