"""Counts the failures of this host together with those of the others, and bans where all together suffice."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from sidecar.app.bus import Bus
from sidecar.app.cluster.own_decisions import SOURCE
from sidecar.app.cluster.shared_time import SharedTime
from sidecar.cluster.shared_windows import Counted, SharedFailure, SharedWindows
from sidecar.decide.engine import DecisionEngine
from sidecar.model import Batch, Failure, Refused, Unban
from sidecar.network import Network

# Failures that are kept while Redis is away, and that are counted in one round trip.
_MOST, _AT_ONCE = 100_000, 500


class JointCounting:
    """A subscriber of the bus. `admit` tells whether a ban may rest on the counts of these hosts;
    `tell_forged` is told the number of failures that nobody known signed."""

    def __init__(
        self,
        host: str,
        time: SharedTime,
        engine: DecisionEngine,
        bus: Bus,
        admit: Callable[[list[str]], bool],
        tell_forged: Callable[[int], None],
    ) -> None:
        self._host, self._time, self._engine, self._bus, self._admit = host, time, engine, bus, admit
        self._tell_forged = tell_forged
        engine.gathered = []
        self._due: deque[tuple[Failure, int]] = deque(maxlen=_MOST)
        self._over: dict[tuple[str, Network], None] = {}
        self.wake = asyncio.Event()
        self.forged = 0

    def handle(self, batch: Batch) -> None:
        """Note the failures that were counted since the last batch, and the networks that were let go."""
        if self._engine.gathered:
            self._due.extend(self._engine.gathered)
            self._engine.gathered = []
            self.wake.set()
        if batch.source != SOURCE:
            for unban in batch.of(Unban):
                if unban.reason == "manual":
                    self._over[unban.jail, unban.network] = None
                    self.wake.set()

    def __len__(self) -> int:
        return len(self._due)

    async def count(self, windows: SharedWindows) -> None:
        """Count what is due, and decide. Raises one of UNREACHABLE; what was not counted stays due."""
        if over := list(self._over):
            await windows.forget(over)
            for one in over:
                self._over.pop(one, None)
        some = [self._due.popleft() for _ in range(min(len(self._due), _AT_ONCE))]
        failures = [one for one in map(self._shared, some) if one is not None]
        try:
            found = await windows.count(failures) if failures else []
        except BaseException:
            self._due.extendleft(reversed(some))
            raise
        for window in found:
            if window.forged:
                self.forged += window.forged
                self._tell_forged(window.forged)
            if window.reached:
                self._decide(window)
        if over := [(one.failure.jail, one.failure.network) for one in found if one.reached]:
            await windows.forget(over)
        if not self._due and not self._over:
            self.wake.clear()

    def _shared(self, counted: tuple[Failure, int]) -> SharedFailure | None:
        failure, weight = counted
        jail = self._engine.jails.get(failure.jail)
        if jail is None or time.time() - failure.at >= jail.spec.findtime:
            return None
        at = self._time.shared(failure.at)
        return SharedFailure(
            failure.jail, failure.network, at, weight, jail.spec.maxretry, jail.spec.findtime
        )

    def _decide(self, one: Counted) -> None:
        failure = one.failure
        others = [host for host in one.hosts if host != self._host]
        at, now = self._time.local(one.last), time.time()
        if not others or self._engine.register.table.of(failure.network, failure.jail):
            return
        if not self._admit(others):
            refused = Refused(failure.network.address, failure.jail, at, "peer-quota")
            self._bus.publish([refused], live=True)
            return
        events = self._engine.decide_together(failure.jail, failure.network, at, now, one.total)
        self._bus.publish(events, live=True, read_at=now)
