"""Finds out what must never be banned on this host: own addresses, gateways, neighbours, resolvers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.kernel import hops
from sidecar.kernel.codec import RTM_NEWROUTE, TABLE_LOCAL
from sidecar.kernel.hops import UnicastRoute
from sidecar.kernel.netlink import Netlink
from sidecar.model import KernelError
from sidecar.network import Network

RESOLVER_FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))

_LOOPBACK = (Network.parse("127.0.0.0/8"), Network.parse("::1"))
_INIT_PID_NAMESPACE = 0xEFFFFFFC  # fixed in the kernel since 3.8


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What belongs to the host, sorted and without repetition.

    `own`: its addresses, and loopback; `gateways`: every next hop of every route, and the far end of a
    point-to-point link; `resolvers`: name servers; `connected`: (interface, network) pairs; `bridges`: those
    of them whose interface is a bridge, where containers live.
    """

    own: tuple[Network, ...]
    gateways: tuple[Network, ...]
    resolvers: tuple[Network, ...]
    connected: tuple[tuple[str, Network], ...]
    bridges: tuple[tuple[str, Network], ...] = ()


@dataclass(frozen=True, slots=True)
class _Address:
    interface: str
    own: Network
    network: Network  # the peer's on a point-to-point link


def host_facts(resolver_files: Iterable[Path] = RESOLVER_FILES) -> HostFacts:
    """Ask the kernel, in the network namespace of this thread, and the resolver's files.

    Takes 4 ms, and the first time the 0.1 s of importing pyroute2. Only from a thread without a running
    event loop, for pyroute2 runs one: `asyncio.to_thread`. Raises KernelError.
    """
    names, bridge_names, addresses = _links_and_addresses()
    with contextlib.closing(Netlink()) as netlink:
        found = (
            hops.decode_unicast(*each)
            for version in (4, 6)
            for each in netlink.listed(hops.encode_unicast_dump(version), RTM_NEWROUTE)
        )
        routes = [route for route in found if route]
        objects = netlink.listed(hops.encode_nexthop_dump(), hops.RTM_NEWNEXTHOP)
        gateways = {_packed(hop) for hop in (hops.decode_nexthop(*each) for each in objects) if hop}
    own = {*_LOOPBACK, *(address.own for address in addresses)}
    gateways.update(_packed(gateway) for route in routes for gateway in route.gateways)
    gateways.update(each.network for each in addresses if each.network.single and each.network != each.own)
    connected = tuple(sorted(each for each in _connected(names, addresses, routes) if each[1] not in own))
    return HostFacts(
        own=tuple(sorted(own)),
        gateways=tuple(sorted(gateways)),
        resolvers=resolvers(resolver_files),
        connected=connected,
        bridges=tuple(each for each in connected if each[0] in bridge_names),
    )


def resolvers(files: Iterable[Path] = RESOLVER_FILES) -> tuple[Network, ...]:
    """The name servers of these resolv.conf files; a missing file has none. Behind systemd's stub at
    127.0.0.53 stand the real ones, in a file of its own."""
    found: set[Network] = set()
    for file in files:
        with contextlib.suppress(OSError):
            for line in file.read_text(errors="replace").splitlines():
                words = line.split()
                if len(words) > 1 and words[0] == "nameserver":
                    with contextlib.suppress(ValueError):
                        found.add(Network.parse(words[1].partition("%")[0]))
    return tuple(sorted(found))


def same_network_namespace_as_host(proc: Path = Path("/proc")) -> bool | None:
    """Whether routes written here are the host's; None if it cannot be told.

    In the host's PID namespace /proc/1 is the host's init, and its namespace can be compared. Else a sysctl
    that the kernel shows only in the very first network namespace says yes; its absence says nothing, for the
    host may itself be a container.
    """
    with contextlib.suppress(OSError):
        if (proc / "self/ns/pid").stat().st_ino == _INIT_PID_NAMESPACE:
            here, first = (proc / "self/ns/net").stat(), (proc / "1/ns/net").stat()
            return here.st_ino == first.st_ino and here.st_dev == first.st_dev
    return True if (proc / "sys/net/core/netdev_max_backlog").exists() else None


def _links_and_addresses() -> tuple[dict[int, str], set[str], list[_Address]]:
    """Interface names by index, the names of the bridges, the addresses."""
    from pyroute2.netlink.exceptions import NetlinkError

    names: dict[int, str] = {}
    bridges: set[str] = set()
    try:
        # pyroute2 needs an event loop, and uvloop, which may be the policy here, opens no netlink socket.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            links, messages = runner.run(_ask())
    except (OSError, NetlinkError) as fault:
        raise KernelError(f"links and addresses of the host cannot be read: {fault}") from fault
    for link in links:
        attributes = dict(link["attrs"])
        names[link["index"]] = attributes["IFLA_IFNAME"]
        information = attributes.get("IFLA_LINKINFO")
        if information and dict(information["attrs"]).get("IFLA_INFO_KIND") == "bridge":
            bridges.add(attributes["IFLA_IFNAME"])
    addresses = [_address(each, names[each["index"]]) for each in messages if each["index"] in names]
    return names, bridges, addresses


async def _ask() -> tuple[list[Any], list[Any]]:
    from pyroute2 import AsyncIPRoute

    async with AsyncIPRoute() as route:
        links = [link async for link in await route.get_links()]
        return links, [address async for address in await route.get_addr()]


def _address(message: Any, interface: str) -> _Address:
    attributes: Mapping[str, str] = dict(message["attrs"])
    # IFA_LOCAL is the host's own where there is a peer; IPv6 without a peer has only IFA_ADDRESS.
    near = attributes.get("IFA_LOCAL") or attributes["IFA_ADDRESS"]
    far = attributes.get("IFA_ADDRESS") or near
    return _Address(interface, Network.parse(near), Network.parse(far).supernet(message["prefixlen"]))


def _connected(
    names: Mapping[int, str], addresses: Iterable[_Address], routes: Iterable[UnicastRoute]
) -> set[tuple[str, Network]]:
    """Networks on the wire: each address with its length, and the kernel's own routes without a gateway
    (a split VPN's `0.0.0.0/1 dev tun0` is not one: it is nobody's neighbourhood)."""
    found = {(address.interface, address.network) for address in addresses}
    for route in routes:
        kernels = route.protocol == hops.PROTOCOL_KERNEL and route.table != TABLE_LOCAL
        if kernels and not route.gateways and route.destination.length and route.interface in names:
            found.add((names[route.interface], route.destination))
    return found


def _packed(address: bytes) -> Network:
    return Network.of(4 if len(address) == 4 else 6, address, len(address) * 8)
