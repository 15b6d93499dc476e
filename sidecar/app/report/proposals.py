"""Proposes networks to ban as a whole, because many of their addresses are banned."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from sidecar.app.report.ban_preview import BanPreview
from sidecar.model import Seconds
from sidecar.network import Network, PrefixSet
from sidecar.threads import run_uncancellable

# (family, prefix length, banned units) that make a network worth a suggestion, narrow networks first. Each
# unit counts once.
_WORTH = ((4, 24, 8), (6, 56, 4), (6, 48, 8))
_MOST = 5
# A power of two.
_BUCKETS = 1 << 22
_MADE_AGAIN: Seconds = 60.0


def proposals(banned: Collection[Network]) -> list[tuple[Network, int]]:
    """The worst networks with the number of bans inside, without networks inside a ban. Takes a second for a
    million: call it in a thread."""
    found: list[tuple[Network, int]] = []
    for version, length, enough in _WORTH:
        # What a narrower network explains does not count for a wider one.
        known = PrefixSet(network for network, _ in found if network[0] == version)
        units = _Beginnings(banned, version, length, known)
        worth = units.counted(enough)
        found += [(_whole(version, bits, length), many) for bits, many in worth.items()]
    wide = PrefixSet(n for n in banned if n[-1] <= (24 if n[0] == 4 else 56))
    free = (one for one in found if wide.covering(one[0]) is None)
    return sorted(free, key=lambda one: (-one[1], one[0]))[:_MOST]


class _Beginnings:
    """The beginnings of the networks of a version that are longer than `length`, as often as they occur."""

    def __init__(self, banned: Collection[Network], version: int, length: int, known: PrefixSet) -> None:
        self._banned, self._version, self._length, self._known = banned, version, length, known

    def __iter__(self) -> Iterator[bytes]:
        version, length, size, known = self._version, self._length, 1 + self._length // 8, self._known
        if not len(known):
            return (n[:size] for n in self._banned if n[0] == version and n[-1] > length)
        return (
            n[:size] for n in self._banned if n[0] == version and n[-1] > length and not known.covering(n)
        )

    def counted(self, enough: int) -> dict[bytes, int]:
        """Those that occur often enough. A million distinct ones take no object each: they are counted by
        their hashes first, and only those whose hash is frequent one by one."""
        counts, mask = bytearray(_BUCKETS), _BUCKETS - 1
        for beginning in self:
            bucket = hash(beginning) & mask
            if counts[bucket] < enough:
                counts[bucket] += 1
        exact = Counter(beginning for beginning in self if counts[hash(beginning) & mask] == enough)
        return {beginning: many for beginning, many in exact.items() if many >= enough}


class Proposals:
    """Networks that may be worth a manual ban, each with a preview."""

    def __init__(self, preview: BanPreview) -> None:
        self._preview = preview
        self._found: list[dict[str, Any]] = []
        self._made: Seconds = float("-inf")

    async def found(self, refused: list[Network], *, fresh: bool) -> list[dict[str, Any]]:
        """The proposals; without `fresh` those of the last minute. `refused` is a copy, because the table
        changes while a thread examines it."""
        if not fresh and time.monotonic() < self._made + _MADE_AGAIN:
            return self._found

        def looked() -> list[tuple[Network, int, int]]:
            return [(one, many, len(one.those_inside(refused))) for one, many in proposals(refused)]

        self._found = [
            {"network": str(network), "banned": many, **await self._preview.covers(network, bans)}
            for network, many, bans in await run_uncancellable(looked)
        ]
        self._made = time.monotonic()
        return self._found


def _whole(version: int, beginning: bytes, length: int) -> Network:
    return Network.of(version, beginning[1:].ljust(4 if version == 4 else 16, b"\0"), length)
