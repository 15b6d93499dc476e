"""Ends bans, allowed networks and failures when their time is over."""

from __future__ import annotations

import asyncio
import logging
import time

from sidecar.app.active import ActiveConfiguration
from sidecar.app.bans.clock_monitor import ClockStepMonitor
from sidecar.app.bans.widening_task import WideningTask
from sidecar.app.bus import Bus
from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.persist.upkeep import DatabaseUpkeep
from sidecar.app.protect.allow_list import AllowList
from sidecar.app.protect.protection import Protection
from sidecar.decide.engine import DecisionEngine
from sidecar.model import Instant, Seconds
from sidecar.store.upkeep.retention import Limits

_log = logging.getLogger("zmban")
_DAY: Seconds = 86400.0
# A shorter [good] days may be a mistake that is corrected later: logins are kept longer than they count.
_LEAST_LOGIN_DAYS = 30


class ExpiryTask:
    """`look` is called every second, `prune` every ten minutes."""

    def __init__(
        self,
        active: ActiveConfiguration,
        engine: DecisionEngine,
        bus: Bus,
        allow_list: AllowList,
        protection: Protection,
        enforcer: Enforcer,
        upkeep: DatabaseUpkeep,
        widening: WideningTask,
    ) -> None:
        self._active, self._engine, self._bus, self._widening = active, engine, bus, widening
        self._allow_list, self._protection = allow_list, protection
        self._enforcer, self._upkeep = enforcer, upkeep
        self._clock = ClockStepMonitor()

    async def look(self) -> None:
        """End what ends by now."""
        await self.end(time.time(), self._clock.seen())

    async def end(self, now: Instant, jump: Seconds = 0.0) -> None:
        """End everything whose time is over. If the clock was set by `jump` seconds, all ends are moved by
        that first."""
        if jump:
            _log.warning("clock set by %+.0f s: ends of bans and allowed networks were moved by that", jump)
            self._engine.register.shift(jump)
            self._allow_list.shift(jump)
            self._widening.shift(jump)
        self._bus.publish(self._engine.expire(now))
        if self._allow_list.expire(now):
            self._protection.apply()
            await self._enforcer.reconcile()

    async def prune(self) -> None:
        """Drop failures that no longer count, in memory and in the database, and there also old ended bans,
        logins and exemptions."""
        now = time.time()
        for jail in self._engine.jails.values():
            for _ in jail.prune(now):
                await asyncio.sleep(0)
        await self._upkeep.prune(self._limits(now))

    def _limits(self, now: Instant) -> Limits:
        store, good, jails = self._active.settings.store, self._active.settings.good, self._active.jails
        growing = {name: jail.increment for name, jail in jails.items() if jail.increment}
        everywhere = any(increment.overalljails for increment in growing.values())
        return Limits(
            failures={name: now - jail.findtime for name, jail in jails.items()},
            history=now - store.history_days * _DAY,
            history_rows=store.history_rows,
            growing=None if everywhere else frozenset(growing),
            logins=now - max(good.days, _LEAST_LOGIN_DAYS) * _DAY,
            allowed=now,
            # Their ends were moved if the clock was set.
            still_allowed=frozenset(one.network for one in self._allow_list),
        )
