"""What a dump of a routing table brings, read as it comes: 300,000 routes in a third of a second."""

from __future__ import annotations

import struct
from functools import lru_cache

from sidecar.kernel import codec
from sidecar.kernel.codec import (
    FAMILIES,
    HEADER,
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    RTA_DST,
    RTA_TABLE,
    RTM_NEWROUTE,
    WORD,
    RouteKind,
)
from sidecar.network import Network


class Reading:
    """What one dump of a table has brought so far.

    `routes` are ours by prefix; `doubles` are further routes of ours on a prefix that has one already
    (of another kind or metric). `done` at the end; `interrupted` if the table changed underneath;
    `error` the errno of a refused dump.
    """

    def __init__(self, table: int, protocol: int, types: dict[int, RouteKind], sequence: int) -> None:
        self.table, self.protocol, self.types, self.sequence = table, protocol, types, sequence
        self.routes: dict[Network, RouteKind] = {}
        self.doubles: list[tuple[Network, RouteKind]] = []
        self.done = self.interrupted = False
        self.error = 0

    def feed(self, data: bytes) -> None:
        """Take one datagram of the answer. The kernel filters by table and protocol, and so does this: a
        kernel before 4.20 sends everything."""
        offset = self._alike(data)
        while offset + 16 <= len(data):
            size, message, flags, sequence, _ = HEADER.unpack_from(data, offset)
            if size < 16 or offset + size > len(data):
                return
            if sequence == self.sequence:
                if flags & NLM_F_DUMP_INTR:
                    self.interrupted = True
                if message == RTM_NEWROUTE and size >= 28:
                    self._route(data, offset, size)
                elif message in (NLMSG_DONE, NLMSG_ERROR) and size >= 20:
                    self.done = True
                    self.error = codec.error_code(data, offset)
            offset += (size + 3) & ~3

    def _alike(self, data: bytes) -> int:
        """Read routes from the start of a datagram as long as all have the shape of the first; returns the
        offset behind them. A dump of 300,000 bans is nothing but such routes."""
        if len(data) < 44:
            return 0
        size = WORD.unpack_from(data)[0]
        if size < (44 if data[16] == 2 else 56) or size & 3:
            return 0
        version, shape = b"\x04" if data[16] == 2 else b"\x06", _shape(size, data[16])
        routes, types, new, offset = self.routes, self.types, bytes.__new__, 0
        ours = (size, RTM_NEWROUTE, self.sequence, data[16], self.protocol, RTA_TABLE, self.table, RTA_DST)
        whole = memoryview(data)[: len(data) // size * size]
        for (
            length,
            message,
            flags,
            sequence,
            family,
            prefix,
            proto,
            type_,
            one,
            table,
            two,
            packed,
        ) in shape.iter_unpack(whole):
            kind = types.get(type_)
            if (length, message, sequence, family, proto, one, table, two) != ours or prefix == b"\0":
                return offset
            if flags & NLM_F_DUMP_INTR or kind is None:
                return offset
            network = new(Network, version + packed + prefix)
            if network in routes:
                self.doubles.append((network, kind))
            else:
                routes[network] = kind
            offset += size
        return offset

    def _route(self, data: bytes, start: int, size: int) -> None:
        """Take one RTM_NEWROUTE message of any shape."""
        route = codec.decode_route(data, start, start + size)
        kind = self.types.get(route.type)
        if kind is None or (route.table, route.protocol) != (self.table, self.protocol):
            return
        if route.network in self.routes:
            self.doubles.append((route.network, kind))
        else:
            self.routes[route.network] = kind


@lru_cache(maxsize=64)
def _shape(size: int, family: int) -> struct.Struct:
    """A route message of this size whose first attributes are RTA_TABLE and RTA_DST, as the kernel writes
    them: length, type, flags, number, family, prefix length, protocol, type, two attributes."""
    width = 4 if family == FAMILIES[4] else 16
    return struct.Struct(f"=IHHI4xBcxxxBxB4x2xHI2xH{width}s{size - 40 - width}x")
