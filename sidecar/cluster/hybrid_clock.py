"""A hybrid logical clock: orders decisions of hosts whose clocks differ.

See Kulkarni and others, Logical Physical Clocks (2014). A stamp is later than every stamp that its host had
seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sidecar.model import Instant, Seconds

# A stamp further ahead of this host is not believed: it would make every later decision look old.
MOST_AHEAD: Seconds = 86400.0
# Redis refuses the id of an entry beyond these: whoever asks for it would be cut off.
_MOST_MS, MOST_NUMBER = (1 << 63) - 1, (1 << 32) - 1


class Stamp(NamedTuple):
    """`ms` are milliseconds since the epoch, `number` counts within one of them. The host decides ties."""

    ms: int
    number: int
    host: str = ""

    @property
    def entry(self) -> str:
        """As the id of an entry of a stream."""
        return f"{self.ms}-{self.number}"

    @classmethod
    def of_entry(cls, text: str, host: str = "") -> Stamp:
        """The stamp of an entry's id. ValueError for any other text."""
        ms, _, number = text.partition("-")
        if not (text.isascii() and ms.isdigit() and number.isdigit() and len(text) < 40):
            raise ValueError(f"{text[:40]!r} is no stamp")
        found = cls(int(ms), int(number), host)
        if found.ms > _MOST_MS or found.number > MOST_NUMBER:
            raise ValueError(f"{text!r} is beyond any time")
        return found


NEVER = Stamp(0, 0)


class HybridClock:
    """The clock of this host. `wall` is the time that all hosts share as well as they can; `highest` the
    highest stamp of an earlier run."""

    def __init__(self, host: str, wall: Callable[[], Instant], highest: Stamp = NEVER) -> None:
        self._host, self._wall = host, wall
        self.highest = highest

    def now(self) -> Stamp:
        """A stamp later than all before."""
        ms = int(self._wall() * 1000)
        before = self.highest
        if ms > before.ms:
            self.highest = Stamp(ms, 0, self._host)
        elif before.number < MOST_NUMBER:
            self.highest = Stamp(before.ms, before.number + 1, self._host)
        else:
            self.highest = Stamp(before.ms + 1, 0, self._host)
        return self.highest

    def of(self, at: Instant) -> Stamp:
        """The stamp of a decision at this time of `wall`, which was not stamped then."""
        return Stamp(max(0, int(at * 1000)), 0, self._host)

    def is_ahead(self, stamp: Stamp) -> bool:
        """Whether a stamp is too far ahead to be believed."""
        return stamp.ms > (self._wall() + MOST_AHEAD) * 1000 or stamp.number > MOST_NUMBER

    def see(self, stamp: Stamp) -> bool:
        """Later stamps follow this one. False if it is too far ahead to be believed."""
        if self.is_ahead(stamp):
            return False
        if stamp[:2] > self.highest[:2]:
            self.highest = stamp
        return True
