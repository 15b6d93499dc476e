"""Bans of whole prefixes while the service runs: indexes the bans after a start, checks who must not be cut
off, and keeps who was let in."""

from __future__ import annotations

import asyncio
import contextlib
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
        for prefix, until in self._memos_held().items():
            self._memos.put(_HELD, str(prefix), repr(until + jump))

    def _held(self, now: Instant) -> dict[Network, Instant]:
        """The prefixes that are not to be banned as a whole; those whose time is over are forgotten."""
        held = self._memos_held()
        for prefix in [prefix for prefix, until in held.items() if until < now]:
            del held[prefix]
            self._memos.drop(_HELD, str(prefix))
        return held

    def _memos_held(self) -> dict[Network, Instant]:
        found: dict[Network, Instant] = {}
        for key, memo in self._memos.of(_HELD).items():
            # What was salvaged from a damaged database may be anything.
            with contextlib.suppress(ValueError):
                found[Network.parse(key)] = float(memo.value or "")
        return found
