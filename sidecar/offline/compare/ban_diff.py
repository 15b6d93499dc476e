"""The bans of two replays, and their differences: networks that only one of them bans."""

from __future__ import annotations

import heapq
import math
import struct
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from sidecar.detect.count.evidence import Evidence
from sidecar.model import Ban, Extended, Instant, Refused, Seconds
from sidecar.network import Network
from sidecar.records import Decision

BEFORE, AFTER = 0, 1
SIDES = (BEFORE, AFTER)
# Start of the first ban, end of the last, time banned in total; failures of the first ban, number of bans.
_SPAN, _SPANS = struct.Struct("<dddII"), struct.Struct("<dddIIdddII")
_PLACE = struct.Struct("<Q")
_NEITHER = bytes(_SPANS.size)
_HIGHEST = (1 << 32) - 1
# The file of the evidence is never overwritten: a first line is needed as much as a last one.
_UNLIMITED = 1 << 40
_NO_LINE = "(this line could not be stored: it is too long, or there was no space for temporary files)"
# Times that differ by less are equal.
_EQUAL: Seconds = 0.001


class Span(NamedTuple):
    """The bans of a network by one jail in one replay: start of the first, end of the last, time banned in
    total (infinite if for ever); failures of the first, number of bans, 0 if it was not banned."""

    at: Instant
    until: Instant
    length: Seconds
    failures: int
    bans: int


class Banned(NamedTuple):
    """A network that a jail banned in a replay or in both. `places`: see `BanDiff.lines`."""

    jail: str
    network: Network
    before: Span
    after: Span
    places: bytes = b""

    @property
    def only(self) -> Span:
        """The span of a network that only one replay banned."""
        return self.before if self.before.bans else self.after

    @property
    def start(self) -> int:
        """-1 if AFTER bans earlier than BEFORE, 1 if later, 0 if at the same time."""
        return _compared(self.before.at, self.after.at)

    @property
    def length(self) -> int:
        """-1 if AFTER bans for a shorter time in total than BEFORE, 1 for a longer, 0 for the same."""
        return _compared(self.before.length, self.after.length)


class BanDiff:
    """Takes the decisions of both replays, first all of BEFORE, then all of AFTER.

    For a million bans: 64 bytes for each jail and network. The lines of a ban are in a temporary file until
    the other replay bans the network too. `bans` counts the bans by jail, `refused` the refusals by jail and
    reason, each per replay.
    """

    def __init__(self) -> None:
        self.bans: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self.refused: tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]] = (Counter(), Counter())
        self._lines = Evidence.on_disk(size=_UNLIMITED)
        # Per jail and network: the span of each side, and the places of the lines of the first ban.
        self._jails: dict[str, dict[Network, bytes]] = {}
        self._lengths: set[tuple[int, int]] = set()

    def take(self, side: int, event: Decision) -> None:
        """Take a decision of one replay."""
        match event:
            case Ban():
                self._ban(side, event)
            case Extended(ban=ban):
                self._extend(side, ban)
            case Refused():
                self.refused[side][event.jail, event.reason] += 1

    def _ban(self, side: int, ban: Ban) -> None:
        self.bans[side][ban.jail] += 1
        networks = self._jails.setdefault(ban.jail, {})
        packed = networks.get(ban.network, _NEITHER)
        until = math.inf if ban.until is None else ban.until
        spans = _spans(packed)
        span = spans[side]
        if span.bans:
            length = span.length + until - ban.at
            networks[ban.network] = _with(
                packed, side, span._replace(until=until, length=length, bans=span.bans + 1)
            )
            return
        self._lengths.add((ban.network[0], ban.network[-1]))
        places = b""
        if not spans[1 - side].bans:
            places = b"".join(_PLACE.pack(self._lines.keep(line)) for line in ban.evidence if line)
        span = Span(ban.at, until, until - ban.at, min(ban.failures, _HIGHEST), 1)
        networks[ban.network] = _with(packed[: _SPANS.size], side, span) + places

    def _extend(self, side: int, ban: Ban) -> None:
        packed = self._jails[ban.jail][ban.network]
        span = _spans(packed)[side]
        until = math.inf if ban.until is None else ban.until
        longer = span._replace(until=until, length=span.length + until - span.until)
        self._jails[ban.jail][ban.network] = _with(packed, side, longer)

    def only(self, side: int) -> Iterator[Banned]:
        """The networks that only one replay banned, in order of their bans."""
        jails = (self._only(side, jail) for jail in self._jails)
        yield from heapq.merge(*jails, key=lambda one: one.only.at)

    def _only(self, side: int, jail: str) -> Iterator[Banned]:
        for network, packed in self._jails[jail].items():
            spans = _spans(packed)
            if not spans[1 - side].bans:
                yield Banned(jail, network, *spans, packed[_SPANS.size :])

    def lines(self, banned: Banned) -> list[str]:
        """The lines that led to the first ban of a network that only one replay banned."""
        return [self._lines.line(place) or _NO_LINE for (place,) in _PLACE.iter_unpack(banned.places)]

    def both(self) -> Iterator[Banned]:
        """The networks that both replays banned, jail by jail."""
        for jail, networks in self._jails.items():
            for network, packed in networks.items():
                before, after = _spans(packed)
                if before.bans and after.bans:
                    yield Banned(jail, network, before, after)

    def around(self, network: Network) -> list[Network]:
        """The banned networks of any jail and replay that cover this one."""
        found = []
        for version, length in self._lengths:
            if version == network[0] and length <= network[-1]:
                wide = network.supernet(length)
                if any(wide in networks for networks in self._jails.values()):
                    found.append(wide)
        return found

    def networks(self) -> Iterator[Network]:
        """The banned networks of both replays; one of several jails more than once."""
        return chain.from_iterable(self._jails.values())

    def jails_that_ban(self, side: int, network: Network) -> list[str]:
        """The jails that banned this network, or one that covers it, in one replay."""
        found = dict.fromkeys(
            jail
            for wide in self.around(network)
            for jail, networks in self._jails.items()
            if (packed := networks.get(wide)) is not None and _spans(packed)[side].bans
        )
        return sorted(found)

    def __bool__(self) -> bool:
        return any(self._jails.values())


def _spans(packed: bytes) -> tuple[Span, Span]:
    values = _SPANS.unpack_from(packed)
    return Span._make(values[:5]), Span._make(values[5:])


def _with(packed: bytes, side: int, span: Span) -> bytes:
    begin = side * _SPAN.size
    return packed[:begin] + _SPAN.pack(*span) + packed[begin + _SPAN.size :]


def _compared(before: float, after: float) -> int:
    # Infinite lengths are equal, and their difference is not a number.
    if before == after or abs(after - before) < _EQUAL:
        return 0
    return 1 if after > before else -1
