"""Bans of whole prefixes while the service runs: indexes the bans after a start, checks who must not be cut
off, and keeps who was let in."""

from __future__ import annotations

import asyncio
import time

from sidecar.app.bus import Bus
from sidecar.app.persist.memos import Memos
from sidecar.bans.packing import is_widened
from sidecar.decide.engine import DecisionEngine
from sidecar.model import Instant, Seconds, Unban
from sidecar.network import Network

# The kind of memo; its key is the prefix, its value the time until when it is not banned as a whole.
_HELD = "widen-hold"


class WideningTask:
    """`look` is called every second."""

    def __init__(self, engine: DecisionEngine, memos: Memos, bus: Bus) -> None:
        self._engine, self._memos, self._bus = engine, memos, bus

    async def look(self) -> None:
        """Index the bans in small parts if the rules are new, and ban or lift what follows."""
        widening = self._engine.widening
        if not widening.active:
            return
        # From the memos each time: some may have been salvaged from a damaged database.
        widening.objections.held = self._held(time.time())
        for _ in widening.build():
            await asyncio.sleep(0)
        for events in widening.recheck(time.time()):
            self._bus.publish(events)
            await asyncio.sleep(0)

    def let_in(self, network: Network, jail: str | None, reason: str) -> list[Unban]:
        """Lift the widened bans around a network or of it, of one jail or of all, because an administrator
        lets it in; and do not ban these prefixes again as long as the bans inside may lead to that."""
        widening, register, now = self._engine.widening, self._engine.register, time.time()
        if not widening.active:
            return []
        around = [b for b in register.table.over(network) if is_widened(b) and jail in (None, b.jail)]
        lifted = [unban for ban in around for unban in register.lift(ban.network, now, reason, ban.jail)]
        if lifted or jail is None:
            for prefix, seconds in widening.rules.around(network).items():
                self._memos.put(_HELD, str(prefix), repr(now + seconds))
            widening.objections.held = self._held(now)
        return lifted

    def shift(self, jump: Seconds) -> None:
        """The clock was set by `jump` seconds: prefixes are held as long as before."""
        for key, memo in self._memos.of(_HELD).items():
            self._memos.put(_HELD, key, repr(float(memo.value or 0.0) + jump))

    def _held(self, now: Instant) -> dict[Network, Instant]:
        """The prefixes that are not to be banned as a whole; those whose time is over are forgotten."""
        held: dict[Network, Instant] = {}
        for key, memo in self._memos.of(_HELD).items():
            until = float(memo.value or 0.0)
            if until >= now:
                held[Network.parse(key)] = until
            else:
                self._memos.drop(_HELD, key)
        return held
