"""Turns a dump into deletes, a whole datagram at a time: a million routes without a Python object for each.

A dump of bans is nothing but messages of one length, so that one byte of all of them is one slice. This is
three times as fast as a delete built for each route.
"""

from __future__ import annotations

import random
from collections.abc import Collection

from sidecar.kernel.netlink import codec
from sidecar.kernel.netlink.codec import (
    FLAGS,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    RTA_TABLE,
    RTM_DELROUTE,
    RTM_NEWROUTE,
    SHORT,
    WORD,
    WORD_ATTRIBUTE,
)

# Where in a route message its length and type stand, protocol and type of the route, the first attribute.
_SIZE, _MESSAGE, _PROTOCOL, _TYPE, _FIRST = 0, 4, 21, 23, 28
_SHORTEST = 44


class Sweep:
    """The messages that delete our routes as a dump lists them: `count` messages in `parts`.

    Messages of an odd shape, and those of a datagram in which one route is not ours, are left out.
    They are in no order: the kernel's trie is put in order again by each delete, which takes longer where one
    end of it empties.
    """

    def __init__(self, table: int, protocol: int, types: Collection[int]) -> None:
        self._types = bytes(types)
        self._ours = {_PROTOCOL: bytes((protocol,)), _FIRST: WORD_ATTRIBUTE.pack(8, RTA_TABLE, table)}
        self._parts: list[bytearray] = []
        self.count = 0
        self.done = False

    @property
    def parts(self) -> list[bytearray]:
        """Each part is sent at once."""
        return random.sample(self._parts, len(self._parts))

    def feed(self, data: bytes) -> None:
        """Take one datagram of the answer."""
        size = WORD.unpack_from(data)[0] if len(data) >= _SHORTEST else 0
        alike = len(data) // size * size if size >= _SHORTEST else 0
        if alike and self._all_ours(data[:alike], size):
            part = bytearray(data[:alike])
            _write(part, size, _MESSAGE, SHORT.pack(RTM_DELROUTE))
            _write(part, size, FLAGS, SHORT.pack(NLM_F_REQUEST))
            self.count += alike // size
            self._parts.append(part)
        else:
            alike = 0
        last = (message for message, *_ in codec.messages(data[alike:]))
        self.done = any(message in (NLMSG_DONE, NLMSG_ERROR) for message in last)

    def _all_ours(self, data: bytes, size: int) -> bool:
        wanted = {_SIZE: WORD.pack(size), _MESSAGE: SHORT.pack(RTM_NEWROUTE), **self._ours}
        alike = all(_read(data, size, at, value) for at, value in wanted.items())
        return alike and not data[_TYPE::size].translate(None, self._types)


def _read(data: bytes, size: int, at: int, value: bytes) -> bool:
    """Whether every message of this size has these bytes at that place."""
    count = len(data) // size
    return all(data[at + n :: size] == value[n : n + 1] * count for n in range(len(value)))


def _write(data: bytearray, size: int, at: int, value: bytes) -> None:
    count = len(data) // size
    for n in range(len(value)):
        data[at + n :: size] = value[n : n + 1] * count
