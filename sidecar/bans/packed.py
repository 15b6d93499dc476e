"""A ban as the table keeps it: 28 bytes instead of a tuple with its floats and texts."""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

from sidecar.model import Ban, Instant, Origin, Seconds
from sidecar.network import Network

# When it began and ends (infinite: never), failures, how many bans with it, the number of its kind.
_ONE = struct.Struct("<ddIII")
_MOST = (1 << 32) - 1


class _Kind(NamedTuple):
    """What many bans have in common. `jumped` is by how much the clock had been set when they began."""

    jail: str
    origin: Origin
    reason: str
    dry: bool
    jumped: Seconds


class Standing(NamedTuple):
    """One ban of a network, unpacked. It is `due` when its `until` says so, but where the clock was set while
    it stood."""

    packed: bytes
    at: Instant
    until: Instant | None
    due: Instant | None
    failures: int
    times: int
    jail: str
    origin: Origin
    reason: str
    dry: bool

    def ban(self, network: Network) -> Ban:
        """As everybody else knows it; its lines of evidence are not kept."""
        return Ban(
            network, self.jail, self.at, self.until, self.origin, self.reason, self.failures, (), self.times,
            self.dry,
        )  # fmt: skip


class Packing:
    """Packs bans, and alone can read what it packed. `any_dry` says that some ban may be dry."""

    def __init__(self) -> None:
        self._kinds: list[_Kind] = []
        self._numbers: dict[tuple[str, str, str, bool, float], int] = {}
        self._jumped: Seconds = 0.0
        self.any_dry = False

    def pack(self, ban: Ban) -> bytes:
        """One ban of a network."""
        # Taken apart at once, which is faster than by name: a million are packed at a start.
        _, jail, at, until, origin, reason, failures, _, times, dry = ban
        # A plain tuple is equal to the named one, and made in a fifth of the time.
        number = self._numbers.get((jail, origin, reason, dry, self._jumped))
        if number is None:
            kind = _Kind(jail, origin, reason, dry, self._jumped)
            number = self._numbers[kind] = len(self._kinds)
            self._kinds.append(kind)
            self.any_dry |= dry
        if failures > _MOST or times > _MOST:
            failures, times = min(failures, _MOST), min(times, _MOST)
        return _ONE.pack(at, math.inf if until is None else until, failures, times, number)

    def read(self, packed: bytes) -> list[Standing]:
        """All that were packed one behind the other."""
        found: list[Standing] = []
        for start in range(0, len(packed), _ONE.size):
            one = packed[start : start + _ONE.size]
            at, end, failures, times, number = _ONE.unpack(one)
            jail, origin, reason, dry, jumped = self._kinds[number]
            until = None if end == math.inf else end
            due = None if until is None else until + self._jumped - jumped
            found.append(Standing(one, at, until, due, failures, times, jail, origin, reason, dry))
        return found

    def shift(self, jump: Seconds) -> None:
        """The clock was set: what was packed before is due so much later."""
        self._jumped += jump
