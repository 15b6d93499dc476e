"""Encodes and decodes the few rtnetlink messages that a ban list needs, as plain bytes.

Pure, without a socket. Integers are in host byte order, addresses in network byte order, every
attribute is padded to four bytes. Numbers are those of linux/netlink.h, rtnetlink.h, fib_rules.h.

pyroute2 writes 3,300 routes a second, and its import alone takes 0.1 s, for which no start should wait.
"""

from __future__ import annotations

import socket
import struct
from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sidecar.kernel.backend import Entry
from sidecar.network import BITS, Network

PROTOCOL = 222
TABLE_MAIN, TABLE_LOCAL = 254, 255
UNICAST = 1

NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP_INTR = 0x1, 0x4, 0x10
NLM_F_DUMP, NLM_F_EXCL, NLM_F_CREATE = 0x300, 0x200, 0x400

FAMILIES = {4: int(socket.AF_INET), 6: int(socket.AF_INET6)}
VERSIONS = {family: version for version, family in FAMILIES.items()}

RTA_DST, RTA_TABLE = 1, 15
_RTA_OIF = 4
_FRA_PRIORITY, _FRA_SUPPRESS_PREFIXLEN, _FRA_TABLE, _FRA_PROTOCOL = 6, 14, 15, 21
_FRA_PAD = 18
_FR_ACT_TO_TBL = 1
_RT_TABLE_COMPAT = 252  # what the one-byte field says of a table number that does not fit
_SCOPE_UNIVERSE, _SCOPE_ANY = 0, 255
_LOOPBACK = 1  # the interface index of `lo` in every namespace
_NO_SUPPRESSION = 0xFFFFFFFF

HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=IHHIIBBBBBBBBI")  # header and rtmsg
_RULE = struct.Struct("=IHHIIBBBBBBBBI")  # header and fib_rule_hdr, by chance the same shape
_ATTRIBUTE = struct.Struct("=HH")
WORD_ATTRIBUTE = struct.Struct("=HHI")
_BYTE_ATTRIBUTE = struct.Struct("=HHB3x")
WORD = struct.Struct("=I")
SHORT = struct.Struct("=H")
_SIGNED = struct.Struct("=i")

# Where in a route message its flags stand, its number, its prefix length, its destination.
FLAGS, _NUMBER, _LENGTH, _DESTINATION = 6, 8, 17, 40
# Fewer than these are packed one by one.
_FEW = 8
# A whole message at once.
_ADD4 = struct.Struct("=IHHIIBBBBBBBBIHHIHH4s")
_ADD6 = struct.Struct("=IHHIIBBBBBBBBIHHIHH16s")
_DELETE6 = struct.Struct("=IHHIIBBBBBBBBIHHIHH16sHHI")


# RTN_BLACKHOLE and RTN_THROW of linux/rtnetlink.h. Only here an entry of the ban list becomes a route.
ENTRIES = {6: Entry.BAN, 9: Entry.EXEMPT}
ROUTE_TYPES = {entry: type_ for type_, entry in ENTRIES.items()}
TYPE_NAMES = {Entry.BAN: "blackhole", Entry.EXEMPT: "throw"}


class Route(NamedTuple):
    """A route as the kernel tells of it; `network.version` is 0 for a family other than the two."""

    network: Network
    table: int
    protocol: int
    type: int


class Rule(NamedTuple):
    """A policy rule: `version` 4 or 6; `plain` if it sends every packet to `table`, without any selector."""

    version: int
    preference: int
    table: int
    protocol: int
    plain: bool


def encode_routes(
    message: int, entry: Entry, table: int, protocol: int, networks: Sequence[Network], sequence: int
) -> bytes:
    """One RTM_NEWROUTE (create, refuse if something stands there) or RTM_DELROUTE for each network, numbered
    from `sequence`; only the last asks for an acknowledgement, failures are reported in any case."""
    flags = NLM_F_REQUEST | (NLM_F_CREATE | NLM_F_EXCL if message == RTM_NEWROUTE else 0)
    what = message, ROUTE_TYPES[entry], table, protocol
    packed, width = b"".join(networks), len(networks[0]) if networks else 1
    if len(networks) < _FEW or packed[::width] != packed[:1] * len(networks):
        last = sequence + len(networks) - 1
        each = enumerate(networks, sequence)
        return b"".join(_route(*what, n, number, flags | NLM_F_ACK * (number == last)) for number, n in each)
    # All of one family: one message again and again, and what differs written into all of them at once.
    one = _route(*what, networks[0], 0, flags)
    data = bytearray(one * len(networks))
    numbers = array("I", range(sequence, sequence + len(networks))).tobytes()
    for n in range(4):
        data[_NUMBER + n :: len(one)] = numbers[n::4]
    data[_LENGTH :: len(one)] = packed[width - 1 :: width]
    for n in range(width - 2):
        data[_DESTINATION + n :: len(one)] = packed[1 + n :: width]
    SHORT.pack_into(data, len(data) - len(one) + FLAGS, flags | NLM_F_ACK)
    return bytes(data)


def _route(
    message: int,
    type_: int,
    table: int,
    protocol: int,
    network: Network,
    sequence: int,
    flags: int,
) -> bytes:
    adding = message == RTM_NEWROUTE
    scope = _SCOPE_UNIVERSE if adding else _SCOPE_ANY
    low, length = min(table, _RT_TABLE_COMPAT) if table > 255 else table, network[-1]
    # fmt: off
    if network[0] == 4:
        return _ADD4.pack(44, message, flags, sequence, 0, 2, length, 0, 0, low, protocol, scope, type_, 0,
                          8, RTA_TABLE, table, 8, RTA_DST, network[1:-1])
    if adding:
        return _ADD6.pack(56, message, flags, sequence, 0, 10, length, 0, 0, low, protocol, scope, type_, 0,
                          8, RTA_TABLE, table, 20, RTA_DST, network[1:-1])
    # IPv6 ignores the type of a delete; routes without a destination hang on `lo`, so naming it keeps the
    # delete away from a unicast route that carries our protocol number.
    return _DELETE6.pack(64, message, flags, sequence, 0, 10, length, 0, 0, low, protocol, scope, type_, 0,
                         8, RTA_TABLE, table, 20, RTA_DST, network[1:-1], 8, _RTA_OIF, _LOOPBACK)
    # fmt: on


def encode_probe(sequence: int) -> bytes:
    """A delete that can mean no route (prefix length 255): EPERM without NET_ADMIN, else another error."""
    flags = NLM_F_REQUEST | NLM_F_ACK
    return _ROUTE.pack(28, RTM_DELROUTE, flags, sequence, 0, 2, 255, 0, 0, TABLE_MAIN, PROTOCOL, 0, 6, 0)


def encode_lookup(address: Network, sequence: int) -> bytes:
    """RTM_GETROUTE: where would a packet to this one address go? Without an outgoing interface, because
    with one a blackholed address looks reachable."""
    packed = address.packed
    family, bits, size = FAMILIES[address.version], len(packed) * 8, 4 + len(packed)
    head = _ROUTE.pack(28 + size, RTM_GETROUTE, NLM_F_REQUEST, sequence, 0, family, bits, 0, 0, 0, 0, 0, 0, 0)
    return head + _ATTRIBUTE.pack(size, RTA_DST) + packed


def encode_route_dump(version: int, table: int, protocol: int, sequence: int) -> bytes:
    """A dump of one table's routes of one protocol; only a strict socket makes the kernel filter."""
    low = table if table <= 255 else _RT_TABLE_COMPAT
    flags = NLM_F_REQUEST | NLM_F_DUMP
    family = FAMILIES[version]
    head = _ROUTE.pack(36, RTM_GETROUTE, flags, sequence, 0, family, 0, 0, 0, low, protocol, 0, 0, 0)
    return head + WORD_ATTRIBUTE.pack(8, RTA_TABLE, table)


def encode_rule(message: int, rule: Rule, sequence: int) -> bytes:
    """RTM_NEWRULE (refused if the same stands) or RTM_DELRULE, acknowledged."""
    flags = NLM_F_REQUEST | NLM_F_ACK | (NLM_F_CREATE | NLM_F_EXCL if message == RTM_NEWRULE else 0)
    low, family = rule.table if rule.table <= 255 else 0, FAMILIES[rule.version]
    head = _RULE.pack(52, message, flags, sequence, 0, family, 0, 0, 0, low, 0, 0, _FR_ACT_TO_TBL, 0)
    return (
        head
        + WORD_ATTRIBUTE.pack(8, _FRA_TABLE, rule.table)
        + WORD_ATTRIBUTE.pack(8, _FRA_PRIORITY, rule.preference)
        + _BYTE_ATTRIBUTE.pack(5, _FRA_PROTOCOL, rule.protocol)
    )


def encode_rule_dump(version: int, sequence: int) -> bytes:
    """A dump of all rules of one family."""
    flags = NLM_F_REQUEST | NLM_F_DUMP
    return _RULE.pack(28, RTM_GETRULE, flags, sequence, 0, FAMILIES[version], 0, 0, 0, 0, 0, 0, 0, 0)


def messages(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """(type, flags, sequence, start, end) of each message of one datagram, offsets of the whole message."""
    offset = 0
    while offset + 16 <= len(data):
        size, type_, flags, sequence, _ = HEADER.unpack_from(data, offset)
        if size < 16:
            return
        yield type_, flags, sequence, offset, offset + size
        offset += (size + 3) & ~3


def attributes(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """(type, payload) of each attribute between two offsets."""
    while start + 4 <= end:
        size, type_ = _ATTRIBUTE.unpack_from(data, start)
        if size < 4:
            return
        yield type_ & 0x3FFF, data[start + 4 : start + size]
        start += (size + 3) & ~3


def error_code(data: bytes, start: int) -> int:
    """The errno of the NLMSG_ERROR or NLMSG_DONE message at this offset, positive; 0 is success."""
    return -int(_SIGNED.unpack_from(data, start + 16)[0])


def error_codes(data: bytes) -> list[int]:
    """The errno of each refusal in a datagram."""
    errors = (start for type_, _, _, start, _ in messages(data) if type_ == NLMSG_ERROR)
    return [code for start in errors if (code := error_code(data, start))]


def decode_route(data: bytes, start: int, end: int) -> Route:
    """The route in the RTM_NEWROUTE or RTM_DELROUTE message at this offset; a default route carries no
    destination."""
    fields = _ROUTE.unpack_from(data, start)
    family, prefix, low, protocol, type_ = fields[5], fields[6], fields[9], fields[10], fields[12]
    found = dict(attributes(data, start + 28, end))
    number = found.get(RTA_TABLE, b"")
    table = WORD.unpack(number)[0] if len(number) == WORD.size else low
    return Route(destination(family, found.get(RTA_DST), prefix), table, protocol, type_)


def destination(family: int, packed: bytes | None, length: int) -> Network:
    """The network of a route; a default route carries none. Its version is 0 for a family of neither."""
    version = VERSIONS.get(family, 0)
    return Network.of(version, packed or bytes(BITS[version] // 8 if version else 0), length)


def decode_rule(data: bytes, start: int, end: int) -> Rule:
    """The rule in the RTM_NEWRULE message at this offset."""
    fields = _RULE.unpack_from(data, start)
    family, selectors, low, action, flags = fields[5], fields[6:9], fields[9], fields[12], fields[13]
    table, preference, protocol = low, 0, 0
    plain = action == _FR_ACT_TO_TBL and flags == 0 and not any(selectors)
    for type_, payload in attributes(data, start + 28, end):
        if type_ == _FRA_TABLE:
            table = WORD.unpack(payload)[0]
        elif type_ == _FRA_PRIORITY:
            preference = WORD.unpack(payload)[0]
        elif type_ == _FRA_PROTOCOL:
            protocol = payload[0]
        elif type_ == _FRA_SUPPRESS_PREFIXLEN:
            plain = plain and WORD.unpack(payload)[0] == _NO_SUPPRESSION
        elif type_ != _FRA_PAD:
            plain = False
    return Rule(VERSIONS.get(family, 0), preference, table, protocol, plain)
