"""Bans and failures of each minute of the last day, for plots."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from typing_extensions import TypedDict

from sidecar.app.persist.memos import Memos
from sidecar.model import Ban, Batch, Failure, Instant

_KIND = "rate"
_MINUTE, _QUARTER = 60, 900
_HOUR_MINUTES, _DAY_MINUTES = 60, 24 * 60


class RateSpan(TypedDict):
    """Bans and failures of a span of time that begins `at`."""

    at: Instant
    bans: int
    failures: int


class Curves(TypedDict):
    """The last hour by minute and the last day by quarter of an hour, oldest first."""

    hour: list[RateSpan]
    day: list[RateSpan]


class Rates:
    """A subscriber of the bus. `bans` and `failures` count since the start; dry bans count too. The minutes
    survive a restart: `save` is a periodic job."""

    def __init__(self, memos: Memos, clock: Callable[[], Instant] = time.time) -> None:
        self._memos, self._clock = memos, clock
        self.bans = self.failures = 0
        self._minutes: dict[int, list[int]] = {}
        self._unsaved: set[int] = set()
        for key, memo in memos.of(_KIND).items():
            with contextlib.suppress(ValueError):
                bans, failures = map(int, memo.value.split() if memo.value else ())
                self._minutes[int(key)] = [bans, failures]

    def handle(self, batch: Batch) -> None:
        """Count what happens now."""
        bans, failures = len(batch.new.of(Ban)), len(batch.new.of(Failure))
        if bans or failures:
            self.bans += bans
            self.failures += failures
            minute = int(self._clock()) // _MINUTE
            counts = self._minutes.setdefault(minute, [0, 0])
            counts[0] += bans
            counts[1] += failures
            self._unsaved.add(minute)

    async def save(self) -> None:
        """Save the minutes that changed, and forget those that are over a day old."""
        oldest = int(self._clock()) // _MINUTE - _DAY_MINUTES
        for minute in [minute for minute in self._minutes if minute < oldest]:
            del self._minutes[minute]
            self._memos.drop(_KIND, str(minute))
        changed, self._unsaved = self._unsaved, set()
        for minute in changed & self._minutes.keys():
            self._memos.put(_KIND, str(minute), "{} {}".format(*self._minutes[minute]))

    def curves(self) -> Curves:
        """The last hour and the last day, up to now."""
        last = int(self._clock()) // _MINUTE
        quarter = last // (_QUARTER // _MINUTE)
        return {
            "hour": [self._span(minute, minute) for minute in range(last - _HOUR_MINUTES + 1, last + 1)],
            "day": [
                self._span(each * _QUARTER // _MINUTE, (each + 1) * _QUARTER // _MINUTE - 1)
                for each in range(quarter - _DAY_MINUTES * _MINUTE // _QUARTER + 1, quarter + 1)
            ],
        }

    def _span(self, first: int, last: int) -> RateSpan:
        found = [self._minutes.get(minute, (0, 0)) for minute in range(first, last + 1)]
        return {
            "at": float(first * _MINUTE),
            "bans": sum(bans for bans, _ in found),
            "failures": sum(failures for _, failures in found),
        }
