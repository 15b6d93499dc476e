"""Takes over what is read of a damaged database beside the service: nothing of it undoes what came since."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from sidecar.app.background import run_uncancellable
from sidecar.app.protect import protection
from sidecar.model import Ban, Extended, Failure, StoreError, Unban
from sidecar.store import damage
from sidecar.store.changes import Ended, EvidenceLines, Good, Key
from sidecar.store.database import FILE, Allowed, Change, DamagedError, Past, Zone
from sidecar.store.repair.salvage import Salvage

if TYPE_CHECKING:
    from sidecar.app.service import Service

_log = logging.getLogger("zmban.store")
_LOOK_SECONDS = 0.01
_IDLE_SECONDS = 0.5
# So much at a time: the event loop is not kept for longer than a block of a log keeps it.
_MOST = 400
# How a ban ended that a person ended, or what a person wrote down.
_LIFTED = {"manual", "allowed", "protected"}


class Salvaging:
    """What is read late of damaged files, batch by batch, into table, kernel and database."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def run(self) -> None:
        """Until cancelled, whatever is there to take over."""
        try:
            while True:
                for salvage in list(self._service.ledger.salvages):
                    await self._take(salvage)
                await self._checked()
                await asyncio.sleep(_LOOK_SECONDS if self._service.ledger.salvages else _IDLE_SECONDS)
        finally:
            for salvage in self._service.ledger.salvages:
                salvage.stop()

    async def _take(self, salvage: Salvage) -> None:
        ledger = self._service.ledger
        if salvage.over:
            # Only what was written down is no longer needed there.
            await ledger.commit()
            if not ledger.behind:
                salvage.unfinished.end()
                ledger.salvages.remove(salvage)
                _log.warning("%s was read to its end; %s", salvage.path, salvage.found)
            return
        if found := salvage.take(_MOST):
            await self.merge(found, salvage)

    async def _checked(self) -> None:
        """The check of a database that took longer than a start can wait."""
        ledger = self._service.ledger
        check = ledger.store.check
        if check is None or not check.ended():
            return
        if check.verdict and not ledger.database.memory:
            await ledger.renew(DamagedError(check.verdict))
        else:
            ledger.checked()

    async def merge(self, found: list[Change], salvage: Salvage) -> None:
        """Take over what was found, unless something newer is known."""
        service = self._service
        await service.ledger.commit()
        bans = [one for one in found if isinstance(one, Ban)]
        past = [one for one in found if isinstance(one, Past)]
        keys = {(one.network, one.jail) for one in (*bans, *(p.ban for p in past))}
        try:
            database = service.ledger.database
            known = await run_uncancellable(database.past, keys)
            told = {*(one.network for one in database.allowed()), *database.zones()}
        except StoreError as error:
            # The next commit finds out, too, and begins a new database.
            _log.error("%s", error)
            known, told = {}, set()
        self._goods(one for one in found if isinstance(one, Good))
        service.ledger.add(one for one in found if isinstance(one, Zone) and one.path not in told)
        self._past(past, known)
        self._bans([ban for ban in bans if not salvage.unfinished.forgot(ban)], known)
        # Behind their bans.
        service.ledger.add(one for one in found if isinstance(one, EvidenceLines))
        if allowed := [one for one in found if isinstance(one, Allowed) and one.network not in told]:
            await self._allowed(allowed)

    def _bans(self, bans: Iterable[Ban], known: dict[Key, list[Ended]]) -> None:
        service, now = self._service, time.time()
        events: list[Ban | Extended] = []
        for ban in bans:
            ended = known.get((ban.network, ban.jail), [])
            if any(one.why in _LIFTED and one.ended > ban.at for one in ended):
                continue
            if ban.until is not None and ban.until <= now:
                self._past([Past(ban, ban.until, "expired")] if not ban.dry else [], known)
                # Its end is known now.
                service.publish(service.table.give_way(ban.network, now))
                continue
            standing = service.table.of(ban.network, ban.jail)
            # Of two the one that ends later counts. Its failures are counted already.
            event = service.table.ban(ban._replace(failures=0) if standing and not standing.adopted else ban)
            if event is not None:
                events.append(event)
            self._grow(ban)
        if any(service.judge.spares(event if isinstance(event, Ban) else event.ban) for event in events):
            protection.suspend_spared(service)
        service.publish(events, again=True)

    def _past(self, past: Iterable[Past], known: dict[Key, list[Ended]]) -> None:
        """What is over, once. Whom a person let in is let in again, where the log that was read again has
        banned him for what he did before."""
        service, lifted = self._service, list[Unban]()
        for one in past:
            ban, ended = one.ban, known.setdefault((one.ban.network, one.ban.jail), [])
            if any(other.at == ban.at for other in ended):
                continue
            ended.append(Ended(ban.at, one.ended, one.why))
            service.ledger.add([one])
            if one.why not in _LIFTED:
                self._grow(ban)
                continue
            standing = service.table.of(ban.network, ban.jail)
            if standing and standing.origin == "log" and standing.at <= one.ended:
                lifted += service.table.lift(ban.network, time.time(), one.why, ban.jail)
        service.publish(lifted)

    def _grow(self, ban: Ban) -> None:
        """Growing ban times go by it from now on."""
        judge = self._service.judge
        if ban.dry or not any(court.spec.increment for court in judge.courts.values()):
            return
        before = judge.history.of(ban.network, ban.jail)
        times, at = max(before.times, ban.times), max(before.at, ban.at)
        judge.history.add(ban.network, ban.jail, times, at)

    def _goods(self, found: Iterable[Good]) -> None:
        service = self._service
        since = time.time() - service.settings.good.days * 86400
        service.ledger.add([one for one in found if one.at > since and service.goods.learn(one)])

    async def _allowed(self, found: list[Allowed]) -> None:
        service, now = self._service, time.time()
        current = [one for one in found if one.until is None or one.until > now]
        service.allowed |= {one.network: one for one in current}
        service.ledger.add(current)
        protection.protect(service)
        await service.reconcile(keep_unknown=not service.logs.caught_up.is_set())

    def state(self) -> str:
        """What a person should know of the database: `good`, or what is wrong with it."""
        service = self._service
        if service.ledger.failing:
            return service.ledger.failing
        for salvage in service.ledger.salvages:
            done = salvage.progress()
            read = f"page {done['pages_read']} of {done['pages']}, table {done['table']}"
            return f"good; the damaged {salvage.path} is still being read beside ({read}); {salvage.found}"
        aside = damage.aside(service.place.state / FILE)
        return f"good; a damaged one was set aside as {aside[-1]}" if aside else "good"

    def watch(self) -> None:
        """Let the metrics say at each reading how the database does."""
        gauge, ledger = self._service.metrics.store_failing, self._service.ledger
        path = self._service.place.state / FILE
        gauge.labels("unwritten").set_function(lambda: float(ledger.failing is not None))
        gauge.labels("set-aside").set_function(lambda: float(len(damage.aside(path))))
        gauge.labels("salvage").set_function(lambda: float(len(ledger.salvages)))


def snapshot(service: Service) -> Iterator[Change]:
    """All that memory knows and the database should hold; to be taken in one go."""
    yield from service.allowed.values()
    yield from service.table
    for name, court in service.judge.courts.items():
        for network, at, line in court.window.failures():
            yield Failure(name, network, at, line)
    yield from service.goods.all()
    for path, log in service.logs.logs.items():
        if log.clock is not None and log.clock.learnt is not None:
            yield Zone(path, log.clock.learnt)
