"""Checks periodically that the kernel refuses banned networks, and updates the metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from sidecar.app.enforce.enforcement_status import NOT_VERIFIED, SUSPENDED, EnforcementStatus
from sidecar.app.enforce.enforcer import Enforcer
from sidecar.model import KernelError, Seconds
from sidecar.serve.metrics import Metrics

_SECONDS = 5.0
# Reading a million routes takes seconds: use at most a twentieth of one core.
_SHARE = 20

Sentences: TypeAlias = Callable[[], Iterable[str]]


class Verifier:
    """`status` is the result of the last check. `missing` and `doubts` return further reasons."""

    def __init__(
        self,
        enforcer: Enforcer,
        metrics: Metrics,
        *,
        missing: Sequence[Sentences] = (),
        doubts: Sequence[Sentences] = (),
    ) -> None:
        self._enforcer, self._metrics = enforcer, metrics
        self._missing, self._doubts = missing, doubts
        self.status = EnforcementStatus((SUSPENDED if enforcer.suspended else NOT_VERIFIED,))

    async def look(self) -> Seconds:
        """Check; returns the pause until the next check."""
        begun = time.monotonic()
        await self.verify()
        return max(_SECONDS, _SHARE * (time.monotonic() - begun))

    async def verify(self) -> EnforcementStatus:
        """Check now."""
        metrics = self._metrics
        try:
            with metrics.stages["verify"].time():
                self.status = self._with_others(await self._enforcer.check())
            await self._enforcer.count_dropped()
        except KernelError as error:
            self.status = EnforcementStatus((str(error),))
        for version, count in self.status.counts.items():
            family = f"ipv{version}"
            metrics.table_routes.labels(family).set(count.entries - count.exempt)
            metrics.table_addresses.labels(family).set(count.addresses)
        metrics.enforced.set(self.status.enforced)
        return self.status

    def _with_others(self, status: EnforcementStatus) -> EnforcementStatus:
        missing = (sentence for ask in self._missing for sentence in ask())
        doubts = (sentence for ask in self._doubts for sentence in ask())
        return EnforcementStatus((*status.missing, *missing), (*status.doubts, *doubts), status.counts)
