"""Asks the kernel again and again whether it says what it should, and tells the metrics."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from sidecar.app.background import run_uncancellable
from sidecar.model import KernelError

if TYPE_CHECKING:
    from sidecar.app.service import Service

_SECONDS = 5.0


class Verifier:
    """What it finds stands in `missing` and `doubts` of the enforcer."""

    def __init__(self, service: Service) -> None:
        self._service, metrics = service, service.metrics
        # Asked at each scrape: what it says is what /readyz answers.
        metrics.ready.set_function(lambda: float(not service.ready()))
        metrics.suspended.set_function(lambda: float(service.enforcer.suspended))
        metrics.sources.ask = service.logs.sources
        metrics.dry_run.set(service.enforcer.dry)

    async def run(self) -> None:
        """Until cancelled."""
        service = self._service
        while True:
            begun = time.monotonic()
            await self.verify()
            service.metrics.active(service.table)
            service.metrics.database_bytes.set(service.ledger.database.bytes())
            # A million routes take seconds to read: never more than a twentieth of one core.
            await asyncio.sleep(max(_SECONDS, 20 * (time.monotonic() - begun)))

    async def verify(self) -> None:
        """Ask now."""
        service, enforcer, metrics = self._service, self._service.enforcer, self._service.metrics
        try:
            for version, count in (await enforcer.verify(service.table)).items():
                family = f"ipv{version}"
                metrics.table_routes.labels(family).set(count.routes - count.throws)
                metrics.table_addresses.labels(family).set(count.addresses)
            enforcer.missing += service.witnesses.reasons()
            if not enforcer.dry:
                around = service.surroundings.whereabouts
                enforcer.missing += around.missing
                enforcer.doubts += (*around.doubts, *service.place.doubts)
            enforcer.doubts += tuple(service.logs.doubts())
            metrics.ingress_dropped.inc(await run_uncancellable(enforcer.dropped))
        except KernelError as error:
            enforcer.missing = (str(error),)
        service.drift.tell()
        metrics.enforced.set(0 if enforcer.missing else 1)
