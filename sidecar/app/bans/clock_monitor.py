"""Whether somebody set the clock: bans end after the time that passed, not when a wrong clock says so."""

from __future__ import annotations

import time
from collections.abc import Callable

from sidecar.model import Instant, Seconds

# What a time service corrects in small steps is none.
_TOLERANCE: Seconds = 2.0


def _steady() -> float:
    """Seconds since the machine started; those that it slept count, and nobody can set them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockStepMonitor:
    """Holds the wall's clock against one that nobody can set."""

    def __init__(
        self, wall: Callable[[], Instant] = time.time, steady: Callable[[], float] = _steady
    ) -> None:
        self._wall, self._steady = wall, steady
        self._ahead = wall() - steady()

    def seen(self) -> Seconds:
        """By how much the clock was set since this was asked last, forward or (negative) back; else 0."""
        ahead = self._wall() - self._steady()
        jump, self._ahead = ahead - self._ahead, ahead
        return jump if abs(jump) > _TOLERANCE else 0.0
