"""Packs a ban into 28 bytes, since the table keeps up to a million of them.

As tuples with their numbers and texts, a million bans took 1.5 GB.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import NamedTuple

from sidecar.model import ADOPTED, Ban, Instant, Origin, Seconds
from sidecar.network import Network

# Start, end (infinite: never), failures, number of bans including this one, index of the kind.
_ONE = struct.Struct("<ddIII")
_NUMBER = struct.Struct("<I")
_MOST = (1 << 32) - 1
# Prefix of the reason of a ban of a whole prefix, because so many of its units are banned.
WIDENED = "widened: "


class _Kind(NamedTuple):
    """The values that many bans share. `jumped` is the total clock adjustment at their start, in seconds."""

    jail: str
    origin: Origin
    reason: str
    dry: bool
    by: str
    jumped: Seconds

    @property
    def adopted(self) -> bool:
        """See `Ban.adopted`, for bans that were never counted."""
        return self.origin == "import" and self.reason.startswith(ADOPTED)


class Standing(NamedTuple):
    """One ban of a network, unpacked. `due` is `until`, corrected by clock adjustments since the ban
    began."""

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
    by: str

    @property
    def widened(self) -> bool:
        """See `is_widened`."""
        return is_widened(self)

    def ban(self, network: Network) -> Ban:
        """The ban as a Ban, without evidence, which is not kept here."""
        return Ban(
            network, self.jail, self.at, self.until, self.origin, self.reason, self.failures, (), self.times,
            self.dry, self.by,
        )  # fmt: skip


class Packing:
    """Packs bans, and unpacks what it packed itself. `any_dry`: at least one dry ban was packed;
    `any_adopted`: at least one that was restored from a kernel route alone; `any_widened`: at least one of a
    prefix whose units are banned."""

    def __init__(self) -> None:
        self._kinds: list[_Kind] = []
        self._numbers: dict[tuple[str, str, str, bool, str, float], int] = {}
        self._jumped: Seconds = 0.0
        self.any_dry = self.any_adopted = self.any_widened = False

    def pack(self, ban: Ban) -> bytes:
        """Pack one ban; the network is not included."""
        # Unpacking is faster than attribute access: a million bans are packed at start.
        _, jail, at, until, origin, reason, failures, _, times, dry, by = ban
        # A plain tuple compares equal to a _Kind, and is created in a fifth of the time.
        number = self._numbers.get((jail, origin, reason, dry, by, self._jumped))
        if number is None:
            kind = _Kind(jail, origin, reason, dry, by, self._jumped)
            number = self._numbers[kind] = len(self._kinds)
            self._kinds.append(kind)
            self.any_dry |= dry
            self.any_adopted |= ban.adopted
            self.any_widened |= is_widened(ban)
        if failures > _MOST or times > _MOST:
            failures, times = min(failures, _MOST), min(times, _MOST)
        return _ONE.pack(at, math.inf if until is None else until, failures, times, number)

    def read(self, packed: bytes) -> list[Standing]:
        """Unpack a concatenation of packed bans."""
        found: list[Standing] = []
        for start in range(0, len(packed), _ONE.size):
            one = packed[start : start + _ONE.size]
            at, end, failures, times, number = _ONE.unpack(one)
            jail, origin, reason, dry, by, jumped = self._kinds[number]
            until = None if end == math.inf else end
            due = None if until is None else until + self._jumped - jumped
            found.append(Standing(one, at, until, due, failures, times, jail, origin, reason, dry, by))
        return found

    @staticmethod
    def begins(packed: bytes) -> list[Instant]:
        """The start of each of these packed bans."""
        return [one[0] for one in _ONE.iter_unpack(packed)]

    def endless(self, packed: bytes, jail: str) -> bool:
        """Whether one of these packed bans is of this jail, without an end, and neither dry nor adopted."""
        for _, end, _, times, number in _ONE.iter_unpack(packed):
            kind = self._kinds[number]
            if end == math.inf and kind.jail == jail and not kind.dry and not (times == 0 and kind.adopted):
                return True
        return False

    def numbers(self, wanted: Callable[[str, str], bool]) -> frozenset[bytes]:
        """The kinds whose jail and reason are `wanted`, as the last bytes of a packed ban."""
        kinds = list(enumerate(self._kinds))
        return frozenset(_NUMBER.pack(number) for number, kind in kinds if wanted(kind.jail, kind.reason))

    @staticmethod
    def is_of(packed: bytes, numbers: frozenset[bytes]) -> bool:
        """Whether any of these packed bans is of one of these kinds."""
        if len(packed) == _ONE.size:
            return packed[-_NUMBER.size :] in numbers
        ends = range(_ONE.size, len(packed) + 1, _ONE.size)
        return any(packed[end - _NUMBER.size : end] in numbers for end in ends)

    def shift(self, jump: Seconds) -> None:
        """The clock was adjusted by `jump` seconds: bans packed before are due that much later."""
        self._jumped += jump


def is_widened(ban: Ban | Standing) -> bool:
    """Whether this is a ban of a whole prefix, made because so many of its units are banned."""
    return ban.origin == "log" and ban.reason.startswith(WIDENED)
