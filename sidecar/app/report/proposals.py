"""Proposes networks to ban as a whole, because many of their addresses are banned."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from sidecar.app.report.ban_preview import BanPreview
from sidecar.model import Seconds
from sidecar.network import Network
from sidecar.threads import run_uncancellable

# (family, prefix length, banned units) that make a network worth a suggestion, narrow networks first. Each
# unit counts once.
_WORTH = ((4, 24, 8), (6, 56, 4), (6, 48, 8))
_MOST = 5
_MADE_AGAIN: Seconds = 60.0


def proposals(banned: Iterable[Network]) -> list[tuple[Network, int]]:
    """The worst networks with the number of bans inside, without networks inside a ban. Takes a second for a
    million: call it in a thread."""
    units = set(banned)
    found: list[tuple[Network, int]] = []
    for version, length, enough in _WORTH:
        beginning = 1 + length // 8
        units_of = Counter(n[:beginning] for n in units if n[0] == version and n[-1] > length)
        worth = {bits: many for bits, many in units_of.items() if many >= enough}
        found += [(_whole(version, bits, length), many) for bits, many in worth.items()]
        if worth:
            units = {n for n in units if n[0] != version or n[-1] <= length or n[:beginning] not in worth}
    wide = [n for n in units if n[-1] < 24 or (n[0] == 6 and n[-1] < 56)]
    free = (one for one in found if one[0] not in units and not any(w.covers(one[0]) for w in wide))
    return sorted(free, key=lambda one: (-one[1], one[0]))[:_MOST]


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
