"""Detects bans without effect: a banned client still causes log lines."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator

from sidecar.app.enforce.enforcer import Enforcer
from sidecar.bans.table import BanTable
from sidecar.model import Batch, Failure, Instant, Seconds
from sidecar.serve.metrics import Metrics

# Lines that were still buffered, or written late, when the ban began.
_GRACE: Seconds = 10.0
# How long after the last such line bans count as not enforced.
_REMEMBERED: Seconds = 300.0
_MOST_REMEMBERED = 1000


class LeakDetector:
    """A subscriber of the bus that examines failures in live lines. `started` is when the service began."""

    def __init__(self, table: BanTable, enforcer: Enforcer, metrics: Metrics, started: Instant) -> None:
        self._table, self._enforcer, self._metrics = table, enforcer, metrics
        self._started = started
        self._seen: deque[tuple[Instant, Failure]] = deque(maxlen=_MOST_REMEMBERED)

    def handle(self, batch: Batch) -> None:
        """Count failures of clients that the kernel should have refused."""
        if not batch.live or self._enforcer.dry or self._enforcer.suspended:
            return
        seen = [one for one in batch.of(Failure) if self._bypassed(one)]
        for jail, number in Counter(one.jail for one in seen).items():
            self._metrics.still_seen.labels(jail).inc(number)
        now = time.monotonic()
        self._seen.extend((now, one) for one in seen)

    def _bypassed(self, failure: Failure) -> bool:
        begun = self._table.refused_since(failure.network)
        return begun is not None and failure.at > max(begun, self._started) + _GRACE

    def reasons(self) -> Iterator[str]:
        """Why bans are not enforced, if banned clients were seen recently."""
        now = time.monotonic()
        while self._seen and now - self._seen[0][0] > _REMEMBERED:
            self._seen.popleft()
        if self._seen:
            last = self._seen[-1][1]
            many = f"{len(self._seen)} lines" if len(self._seen) > 1 else "a line"
            text = f"{many} of banned clients after their bans, the last of {last.network} for {last.jail}"
            yield f"{text}: their packets bypass the routes of this host"
