"""What is over ends: bans, what was allowed, and what nobody needs to remember."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from sidecar.app.bans.clock_monitor import ClockStepMonitor
from sidecar.app.protect import protection
from sidecar.model import Instant, Seconds

if TYPE_CHECKING:
    from sidecar.app.service import Service

_log = logging.getLogger("zmban")

_TICK_SECONDS = 1.0
_PRUNE_SECONDS = 600.0


class ExpiryTask:
    """Looks every second, until cancelled."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._jumps = ClockStepMonitor()

    async def run(self) -> None:
        """Until cancelled."""
        pruned = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.time()
            await self.end(now, self._jumps.seen())
            if time.monotonic() - pruned > _PRUNE_SECONDS:
                pruned = time.monotonic()
                await self._prune(now)

    async def end(self, now: Instant, jump: Seconds = 0.0) -> None:
        """End what ends by now; where the clock was set by a `jump` meanwhile, so much later."""
        service = self._service
        if jump:
            self._set(jump)
        service.publish(service.table.expire(now))
        over = [n for n, a in service.allowed.items() if a.until is not None and a.until <= now]
        if over:
            for network in over:
                del service.allowed[network]
            protection.protect(service)
            await service.reconcile()

    def _set(self, jump: Seconds) -> None:
        _log.warning("the clock was set by %+.0f s; what stands lasts as long as before", jump)
        self._service.table.shift(jump)
        for network, one in self._service.allowed.items():
            if one.until is not None:
                self._service.allowed[network] = replace(one, until=one.until + jump)

    async def _prune(self, now: Instant) -> None:
        service = self._service
        oldest = {name: now - jail.findtime for name, jail in service.jails.items()}
        for court in service.judge.courts.values():
            for _ in court.prune(now):
                await asyncio.sleep(0)
        await service.ledger.prune(oldest)
