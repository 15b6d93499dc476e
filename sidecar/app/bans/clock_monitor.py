"""Detects steps of the system clock, so that a ban lasts for its duration and not until a wrong time."""

from __future__ import annotations

import time
from collections.abc import Callable

from sidecar.model import Instant, Seconds

# Smaller corrections, as of a time service, are ignored.
_TOLERANCE: Seconds = 2.0


def _steady() -> float:
    """Seconds since boot, including suspend; not affected by setting the clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockStepMonitor:
    """Compares the system clock with one that cannot be set. After a restart only the system clock is known,
    so a step while the service is down is not detected."""

    def __init__(
        self, wall: Callable[[], Instant] = time.time, steady: Callable[[], float] = _steady
    ) -> None:
        self._wall, self._steady = wall, steady
        self._ahead = wall() - steady()

    def seen(self) -> Seconds:
        """By how many seconds the clock was set since the last call: positive is forward, 0 is not at all."""
        ahead = self._wall() - self._steady()
        jump, self._ahead = ahead - self._ahead, ahead
        return jump if abs(jump) > _TOLERANCE else 0.0
