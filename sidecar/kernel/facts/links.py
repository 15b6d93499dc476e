"""The interfaces of the host: names, and which are bridges. By pyroute2."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from typing import Any

from sidecar.model import KernelError

# What pyroute2 opens for a question, and its loop.
_NEEDED = 8


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
        _must_have_room()
        # pyroute2 needs an event loop, and uvloop, which may be the policy here, opens no netlink socket.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return [_link(message) for message in runner.run(_ask())]
    except (OSError, NetlinkError) as fault:
        raise KernelError(f"the interfaces of the host cannot be read: {fault}") from fault


def _must_have_room() -> None:
    """OSError where descriptors are short: a loop that lacks one of them cannot even be given up in order."""
    with contextlib.ExitStack() as probe:
        for _ in range(_NEEDED // 2):
            for descriptor in os.pipe():
                probe.callback(os.close, descriptor)


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
