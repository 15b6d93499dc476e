"""Own addresses, gateways, connected networks and name servers of this host, which must not be banned."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sidecar.kernel.facts import hops
from sidecar.kernel.facts.hops import Address, UnicastRoute
from sidecar.kernel.netlink.codec import RTM_NEWROUTE, TABLE_LOCAL
from sidecar.kernel.netlink.connection import Netlink
from sidecar.network import Network

RESOLVER_FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))

_LOOPBACK = (Network.parse("127.0.0.0/8"), Network.parse("::1"))
_INIT_PID_NAMESPACE = 0xEFFFFFFC  # fixed in the kernel since 3.8


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What belongs to the host, sorted and without repetition.

    `own`: its addresses, and loopback; `gateways`: every next hop of every route, and the far end of a
    point-to-point link; `resolvers`: name servers; `connected`: the networks on its wires and bridges.
    """

    own: tuple[Network, ...]
    gateways: tuple[Network, ...]
    resolvers: tuple[Network, ...]
    connected: tuple[Network, ...]


def host_facts(resolver_files: Iterable[Path] = RESOLVER_FILES) -> HostFacts:
    """Ask the kernel, in the network namespace of this thread, and the resolver's files. KernelError."""
    with contextlib.closing(Netlink()) as netlink:
        routes = [route for version in (4, 6) for route in unicast_routes(netlink, version)]
        objects = netlink.listed(hops.encode_nexthop_dump(), hops.RTM_NEWNEXTHOP)
        gateways = {_packed(hop) for hop in (hops.decode_nexthop(*each) for each in objects) if hop}
        listed = netlink.listed(hops.encode_address_dump(), hops.RTM_NEWADDR)
        addresses = [address for address in (hops.decode_address(*each) for each in listed) if address]
    own = {*_LOOPBACK, *(address.own for address in addresses)}
    gateways.update(_packed(gateway) for route in routes for gateway in route.gateways)
    gateways.update(each.network for each in addresses if each.network.single and each.network != each.own)
    return HostFacts(
        own=tuple(sorted(own)),
        gateways=tuple(sorted(gateways)),
        resolvers=resolvers(resolver_files),
        connected=tuple(sorted({*_connected(addresses, routes)} - own)),
    )


def unicast_routes(netlink: Netlink, version: int) -> Iterator[UnicastRoute]:
    """The routes of one family, of all tables, that lead somewhere. KernelError."""
    for each in netlink.listed(hops.encode_unicast_dump(version), RTM_NEWROUTE):
        if route := hops.decode_unicast(*each):
            yield route


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
    """Whether routes written here are the host's; None if that is unknown.

    In the host's PID namespace /proc/1 is the host's init, and its namespace can be compared. Else a sysctl
    that the kernel shows only in the very first network namespace says yes; its absence says nothing, for the
    host may itself be a container.
    """
    with contextlib.suppress(OSError):
        if (proc / "self/ns/pid").stat().st_ino == _INIT_PID_NAMESPACE:
            here, first = (proc / "self/ns/net").stat(), (proc / "1/ns/net").stat()
            return here.st_ino == first.st_ino and here.st_dev == first.st_dev
    return True if (proc / "sys/net/core/netdev_max_backlog").exists() else None


def in_user_namespace(proc: Path = Path("/proc")) -> bool:
    """Whether this process is root only in a user namespace, as under a rootless engine: a network that it
    may write to is then never the host's."""
    with contextlib.suppress(OSError):
        return (proc / "self/uid_map").read_text().split() != ["0", "0", "4294967295"]
    return False


def _connected(addresses: Iterable[Address], routes: Iterable[UnicastRoute]) -> Iterator[Network]:
    """Networks on the wire: each address with its length, and the kernel's own routes without a gateway
    (a split VPN's `0.0.0.0/1 dev tun0` is not one: it is nobody's neighbourhood)."""
    yield from (address.network for address in addresses)
    for route in routes:
        kernels = route.protocol == hops.PROTOCOL_KERNEL and route.table != TABLE_LOCAL
        if kernels and not route.gateways and route.destination.length:
            yield route.destination


def _packed(address: bytes) -> Network:
    return Network.of(4 if len(address) == 4 else 6, address, len(address) * 8)
