"""Reads the dump of a routing table as it arrives: 300,000 routes in a third of a second."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache

from sidecar.kernel.backend import NOTHING, Entries, Entry
from sidecar.kernel.netlink import codec
from sidecar.kernel.netlink.codec import (
    FAMILIES,
    HEADER,
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    RTA_DST,
    RTA_TABLE,
    RTM_NEWROUTE,
    WORD,
)
from sidecar.network import Network


class RouteDump:
    """The routes that one dump has listed so far.

    `entries` are ours by prefix, but for the `matched` ones that stand as they are `wanted`: those are only
    counted, so that a million of them cost no memory. `doubles` are prefixes on which several of ours stand
    (of another kind or metric). `done` at the end; `interrupted` if the table changed underneath;
    `error` the errno of a refused dump.
    """

    def __init__(
        self,
        table: int,
        protocol: int,
        types: Mapping[int, Entry],
        sequence: int,
        wanted: Entries = NOTHING,
    ) -> None:
        self.table, self.protocol, self.types, self.sequence = table, protocol, types, sequence
        self.wanted, self.matched = wanted, 0
        self.entries: dict[Network, Entry] = {}
        self.doubles: set[Network] = set()
        # Several routes on one prefix are listed one after the other.
        self._last: Network | None = None
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
        types, new, take, offset = self.types, bytes.__new__, self._take, 0
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
            entry = types.get(type_)
            if (length, message, sequence, family, proto, one, table, two) != ours or prefix == b"\0":
                return offset
            if flags & NLM_F_DUMP_INTR or entry is None:
                return offset
            take(new(Network, version + packed + prefix), entry)
            offset += size
        return offset

    def _route(self, data: bytes, start: int, size: int) -> None:
        """Take one RTM_NEWROUTE message of any shape."""
        route = codec.decode_route(data, start, start + size)
        entry = self.types.get(route.type)
        if entry is None or (route.table, route.protocol) != (self.table, self.protocol):
            return
        self._take(route.network, entry)

    def _take(self, network: Network, entry: Entry) -> None:
        if network == self._last or network in self.entries:
            self.doubles.add(network)
        elif self.wanted.get(network) is entry:
            self.matched += 1
        else:
            self.entries[network] = entry
        self._last = network


@lru_cache(maxsize=64)
def _shape(size: int, family: int) -> struct.Struct:
    """A route message of this size whose first attributes are RTA_TABLE and RTA_DST, as the kernel writes
    them: length, type, flags, number, family, prefix length, protocol, type, two attributes."""
    width = 4 if family == FAMILIES[4] else 16
    return struct.Struct(f"=IHHI4xBcxxxBxB4x2xHI2xH{width}s{size - 40 - width}x")
