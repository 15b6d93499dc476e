"""Reads next hops, addresses and connected networks from raw dumps, for the never-ban list. Pure.

Raw, because a host with a million bans must not cost anything here: the dump is for unicast routes only, and
if the kernel does not filter, routes are skipped by their type byte before anything is parsed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.kernel.netlink.codec import (
    FAMILIES,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    RTA_DST,
    RTA_TABLE,
    RTM_GETROUTE,
    UNICAST,
    VERSIONS,
    WORD,
    attributes,
    destination,
)
from sidecar.network import Network

RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWNEXTHOP, RTM_GETNEXTHOP = 104, 106
PROTOCOL_KERNEL = 2

_RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH, _RTA_VIA = 4, 5, 9, 18
_NHA_GATEWAY = 6
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_ROUTE = struct.Struct("=IHHIIBBBBBBBBI")
_NEXTHOP = struct.Struct("=IHHIIBBBBI")
_ADDRESS = struct.Struct("=IHHIIBBBBI")  # header and ifaddrmsg
_HOP = struct.Struct("=H2xI")


@dataclass(frozen=True, slots=True)
class UnicastRoute:
    """A route that leads somewhere. `interfaces` are indexes; `gateways` are packed addresses of 4 or 16
    bytes, empty for what is directly connected."""

    destination: Network
    table: int
    protocol: int
    interfaces: tuple[int, ...]
    gateways: tuple[bytes, ...]


def encode_unicast_dump(version: int) -> bytes:
    """A dump of the unicast routes of all tables of one family, sequence number 1."""
    flags = NLM_F_REQUEST | NLM_F_DUMP
    return _ROUTE.pack(28, RTM_GETROUTE, flags, 1, 0, FAMILIES[version], 0, 0, 0, 0, 0, 0, UNICAST, 0)


def encode_nexthop_dump() -> bytes:
    """A dump of all nexthop objects, sequence number 1."""
    return _NEXTHOP.pack(24, RTM_GETNEXTHOP, NLM_F_REQUEST | NLM_F_DUMP, 1, 0, 0, 0, 0, 0, 0)


def decode_unicast(data: bytes, start: int, end: int) -> UnicastRoute | None:
    """The route in the RTM_NEWROUTE message at this offset, None if it is none of type unicast."""
    fields = _ROUTE.unpack_from(data, start)
    family, length, low, protocol, type_ = fields[5], fields[6], fields[9], fields[10], fields[12]
    if type_ != UNICAST or family not in VERSIONS:
        return None
    found = dict(attributes(data, start + 28, end))
    network = destination(family, found.get(RTA_DST), length)
    interfaces = [WORD.unpack(found[_RTA_OIF])[0]] if _RTA_OIF in found else []
    interfaces += (index for index, _ in _several(found))
    table = WORD.unpack(found[RTA_TABLE])[0] if RTA_TABLE in found else low
    return UnicastRoute(network, table, protocol, tuple(interfaces), tuple(_gateways(found)))


@dataclass(frozen=True, slots=True)
class Address:
    """An address of the host, and the network around it: the peer's on a point-to-point link."""

    own: Network
    network: Network


def encode_address_dump() -> bytes:
    """A dump of the addresses of all interfaces, sequence number 1."""
    return _ADDRESS.pack(24, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0, 0, 0, 0, 0, 0)


def decode_address(data: bytes, start: int, end: int) -> Address | None:
    """The address in the RTM_NEWADDR message at this offset, None for one of neither family."""
    family, length = _ADDRESS.unpack_from(data, start)[5:7]
    found = dict(attributes(data, start + 24, end))
    far = found.get(_IFA_ADDRESS)
    if family not in VERSIONS or far is None:
        return None
    # IFA_LOCAL is the host's own where there is a peer; IPv6 without a peer has only IFA_ADDRESS.
    near = found.get(_IFA_LOCAL, far)
    version = VERSIONS[family]
    network = Network.of(version, far, len(far) * 8).supernet(length)
    return Address(Network.of(version, near, len(near) * 8), network)


def decode_nexthop(data: bytes, start: int, end: int) -> bytes | None:
    """The gateway of the RTM_NEWNEXTHOP message at this offset, packed, or None if it has none."""
    return dict(attributes(data, start + 24, end)).get(_NHA_GATEWAY)


def _gateways(found: dict[int, bytes]) -> Iterator[bytes]:
    if _RTA_GATEWAY in found:
        yield found[_RTA_GATEWAY]
    if _RTA_VIA in found:  # an IPv4 route by way of an IPv6 neighbour: the family, then the address
        yield found[_RTA_VIA][2:]
    for _, hop in _several(found):
        yield from _gateways(hop)


def _several(found: dict[int, bytes]) -> Iterator[tuple[int, dict[int, bytes]]]:
    """Interface and attributes of each of several next hops."""
    several, offset = found.get(_RTA_MULTIPATH, b""), 0
    while offset + 8 <= len(several):
        size, interface = _HOP.unpack_from(several, offset)
        if size < 8:
            return
        yield interface, dict(attributes(several, offset + 8, offset + size))
        offset += (size + 3) & ~3
