"""The event bus: delivers every event to all subscribers, in the order of their subscription."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from sidecar.model import Batch, Event, Instant, Match


class Subscriber(Protocol):
    """Receives whole batches. `handle` is synchronous and short; longer work goes to BackgroundTasks. It must
    not raise: an exception is a bug, and ends the service."""

    def handle(self, batch: Batch) -> None: ...


class Bus:
    """Numbers events and delivers them."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []
        self._next = 1

    def subscribe(self, *subscribers: Subscriber) -> None:
        """Add subscribers behind the existing ones."""
        self._subscribers += subscribers

    def publish(
        self,
        events: Iterable[Event | Match],
        *,
        live: bool = False,
        source: str = "",
        read_at: Instant | None = None,
        restored: bool = False,
    ) -> None:
        """Deliver events to all subscribers, even if one of them raises."""
        batch = Batch(tuple(events), live, source, self._next, read_at, restored)
        if not batch.events:
            return
        self._next += len(batch.events)
        failed: Exception | None = None
        for subscriber in self._subscribers:
            try:
                subscriber.handle(batch)
            except Exception as error:
                failed = failed or error
        if failed is not None:
            raise failed
