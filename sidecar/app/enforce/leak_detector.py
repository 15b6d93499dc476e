"""The logs as witnesses: a line of a client who has been banned for a while says that a ban does not hold."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sidecar.model import Event, Failure, Instant, Match, Seconds

if TYPE_CHECKING:
    from sidecar.app.service import Service

# What was on its way, or in the buffers of a log, when the ban began.
_GRACE: Seconds = 10.0
# So long after the last such line it is a reason why bans are not enforced.
_REMEMBERED: Seconds = 300.0
_MOST_REMEMBERED = 1000


class LeakDetector:
    """Listens to what live lines count as."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._seen: deque[tuple[Instant, Failure]] = deque(maxlen=_MOST_REMEMBERED)

    def hear(self, events: Iterable[Event | Match]) -> None:
        """Count the failures of those whom the kernel should have refused before they could happen."""
        service = self._service
        if service.enforcer.dry or service.enforcer.suspended:
            return
        for event in events:
            if isinstance(event, Failure):
                begun = service.table.refused_since(event.network)
                if begun is not None and event.at > max(begun, service.started) + _GRACE:
                    service.metrics.still_seen.labels(event.jail).inc()
                    self._seen.append((time.monotonic(), event))

    def reasons(self) -> tuple[str, ...]:
        """Why bans are not enforced, by what was heard lately."""
        now = time.monotonic()
        while self._seen and now - self._seen[0][0] > _REMEMBERED:
            self._seen.popleft()
        if not self._seen:
            return ()
        last = self._seen[-1][1]
        many = f"{len(self._seen)} lines" if len(self._seen) > 1 else "a line"
        text = f"{many} of banned clients came after their bans, the last of {last.network} for {last.jail}"
        return (f"{text}: something lets them in past this host's routes",)
