"""The time that the hosts of a group share: the clock of their Redis server, as far as this host knows it."""

from __future__ import annotations

import time

from sidecar.app.persist.memos import Memos
from sidecar.cluster.hybrid_clock import NEVER, HybridClock, Stamp
from sidecar.model import Instant, Seconds

# The kind of memo that keeps what must survive a restart.
KIND = "cluster"
_OFFSET, _HIGHEST = "offset", "highest"
# A smaller difference of the clocks matters to no ban.
_EXACT: Seconds = 0.5


class SharedTime:
    """Converts times of this host to those that all share, and back; stamps decisions.

    The offset is measured while the host is connected: a host whose clock is an hour wrong still bans and
    lifts in the right order, also while it is alone.
    """

    def __init__(self, memos: Memos, host: str) -> None:
        self._memos = memos
        known = memos.of(KIND)
        self._offset = _number(known[_OFFSET].value) if _OFFSET in known else 0.0
        highest = _stamp(known[_HIGHEST].value or "", host) if _HIGHEST in known else NEVER
        self.stamps = HybridClock(host, self.now, highest)

    def now(self) -> Instant:
        """The shared time."""
        return time.time() + self._offset

    def set(self, offset: Seconds) -> None:
        """The server's clock is ahead of this host's by so much. What the network adds changes nothing."""
        if abs(offset - self._offset) < _EXACT:
            return
        self._offset = offset
        self._memos.put(KIND, _OFFSET, repr(offset))

    def shared(self, at: Instant) -> Instant:
        """A time of this host as the others see it."""
        return at + self._offset

    def local(self, at: Instant) -> Instant:
        """A shared time as this host sees it."""
        return at - self._offset

    def local_end(self, until: Instant | None) -> Instant | None:
        """A shared end as this host sees it; None: for ever."""
        return None if until is None else self.local(until)

    def save(self) -> None:
        """Keep the highest stamp: after a restart none is used twice, and later decisions are later."""
        self._memos.put(KIND, _HIGHEST, self.stamps.highest.entry)


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def _stamp(text: str, host: str) -> Stamp:
    try:
        return Stamp.of_entry(text, host)
    except ValueError:
        return NEVER
