"""The interfaces of the host: names, and which are bridges. By pyroute2."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from sidecar.model import KernelError


@dataclass(frozen=True, slots=True)
class Link:
    """One interface. `bridge` is its hardware address if it is a bridge, else empty."""

    index: int
    name: str
    bridge: bytes


def links() -> list[Link]:
    """Ask the kernel, in the network namespace of this thread. Only from a thread without a running event
    loop, for pyroute2 runs one. Raises KernelError."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        # pyroute2 needs an event loop, and uvloop, which may be the policy here, opens no netlink socket.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return [_link(message) for message in runner.run(_ask())]
    except (OSError, NetlinkError) as fault:
        raise KernelError(f"the interfaces of the host cannot be read: {fault}") from fault


async def _ask() -> list[Any]:
    from pyroute2 import AsyncIPRoute

    async with AsyncIPRoute() as route:
        return [link async for link in await route.get_links()]


def _link(message: Any) -> Link:
    attributes = dict(message["attrs"])
    information = attributes.get("IFLA_LINKINFO")
    kind = dict(information["attrs"]).get("IFLA_INFO_KIND") if information else None
    # Of others it may be anything: that of a tunnel is no Ethernet address.
    bridge = bytes.fromhex(attributes["IFLA_ADDRESS"].replace(":", "")) if kind == "bridge" else b""
    return Link(message["index"], str(attributes["IFLA_IFNAME"]), bridge)
