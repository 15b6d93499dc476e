"""The newest bans, unbans and refusals, numbered, for clients that follow them live."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from sidecar.model import Ban, Batch, Extended, Instant, Refused, Seconds, Unban
from sidecar.records import Decision, event_record

# Number of events that a client may be behind.
_MOST_KEPT = 2000
# Refusals that the ban log shows too. Others may occur in each line of an attack.
_SHOWN_REFUSALS = {"framed", "report-only", "brake"}
_KINDS = {Ban, Extended, Unban, Refused}


class Told(NamedTuple):
    """One event and its number, counted since the start of the service."""

    sequence: int
    event: Decision

    def record(self) -> dict[str, Any]:
        """As `event_record`, with what else a live view shows of a ban."""
        record = event_record(self.event)
        ban = self.event.ban if isinstance(self.event, Extended) else self.event
        if isinstance(ban, Ban):
            record |= {"reason": ban.reason, "origin": ban.origin}
        return record


class Missed(NamedTuple):
    """What happened behind a position: the events, where to continue, and whether some are lost."""

    events: list[Told]
    position: str
    lost: bool


class EventFeed:
    """A subscriber of the bus. A position names the start of the service and an event, so that a position
    from before a restart is recognized."""

    def __init__(self, started: Instant) -> None:
        self._boot = f"{int(started * 1000):x}"
        self._kept: deque[Told] = deque(maxlen=_MOST_KEPT)
        self._last = self._dropped = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def handle(self, batch: Batch) -> None:
        """Keep the events to show, and wake those that wait."""
        kept, first = self._kept, batch.sequence
        for number, event in enumerate(batch.events, first):
            if type(event) in _KINDS and (not isinstance(event, Refused) or event.reason in _SHOWN_REFUSALS):
                if len(kept) == _MOST_KEPT:
                    self._dropped = kept[0].sequence
                self._last = number
                kept.append(Told(number, event))  # type: ignore[arg-type]  # of _KINDS
        if self._waiting and self._last >= first:
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_result(None)

    @property
    def position(self) -> str:
        """The position behind the newest event."""
        return self.name(self._last)

    def name(self, sequence: int) -> str:
        """The position of an event."""
        return f"{self._boot}-{sequence}"

    def after(self, position: str | None) -> Missed:
        """The events behind a position. Without one, or with one of another start, there are none, and for
        the latter all are lost."""
        boot, _, number = (position or "").partition("-")
        if not position:
            return Missed([], self.position, lost=False)
        known = boot == self._boot and number.isascii() and number.isdecimal() and len(number) < 16
        sequence = int(number) if known else -1
        if not 0 <= sequence <= self._last:
            return Missed([], self.position, lost=True)
        return Missed(list(self._behind(sequence)), self.position, lost=sequence < self._dropped)

    def _behind(self, sequence: int) -> Iterable[Told]:
        found: list[Told] = []
        for told in reversed(self._kept):
            if told.sequence <= sequence:
                break
            found.append(told)
        return reversed(found)

    async def changed(self, patience: Seconds) -> bool:
        """Wait for the next event. False if there is none within `patience`."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            async with asyncio.timeout(patience):
                await waiting
        except TimeoutError:
            return False
        else:
            return True
        finally:
            self._waiting.discard(waiting)
