"""Merges rows that are salvaged from a damaged database after the start. Newer changes are never undone."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from sidecar.app.active import ActiveConfiguration
from sidecar.app.bus import Bus
from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.persist import memory
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.persist.memos import Memos
from sidecar.app.protect.allow_list import AllowList
from sidecar.app.protect.protection import Protection
from sidecar.decide.engine import DecisionEngine
from sidecar.decide.suspected_proxies import SuspectedProxies
from sidecar.model import Ban, Event, Seconds, StoreError, Unban
from sidecar.offline.import_decisions import LIFTED
from sidecar.store.changes import Ended, EvidenceLines, Key, Login, Memo
from sidecar.store.database import Allowed, Change, DamagedError, HistoryEntry, Zone
from sidecar.store.repair.salvage import Salvage
from sidecar.threads import run_uncancellable

_log = logging.getLogger("zmban.store")
_BUSY_SECONDS: Seconds = 0.01
# Rows per step: the event loop is blocked no longer than by a block of a log.
_MOST = 400


class SalvageMerger:
    """Merges salvaged rows, batch by batch, into ban table, kernel and database."""

    def __init__(
        self,
        active: ActiveConfiguration,
        engine: DecisionEngine,
        suspects: SuspectedProxies,
        allow_list: AllowList,
        memos: Memos,
        protection: Protection,
        enforcer: Enforcer,
        commit_queue: CommitQueue,
        bus: Bus,
    ) -> None:
        self._active, self._engine, self._suspects = active, engine, suspects
        self._allow_list, self._memos = allow_list, memos
        self._protection, self._enforcer = protection, enforcer
        self._commit_queue, self._bus = commit_queue, bus

    async def look(self) -> Seconds | None:
        """Merge the rows that were read by now. Returns a short pause while more is expected."""
        for salvage in list(self._commit_queue.salvages):
            await self._take(salvage)
        await self._checked()
        return _BUSY_SECONDS if self._commit_queue.salvages else None

    def stop(self) -> None:
        """Stop reading damaged files."""
        for salvage in self._commit_queue.salvages:
            salvage.stop()

    async def _take(self, salvage: Salvage) -> None:
        queue = self._commit_queue
        if salvage.over:
            # The file is needed until everything from it is committed.
            await queue.commit()
            if not queue.behind:
                salvage.unfinished.end()
                queue.salvages.remove(salvage)
                _log.warning("salvage of %s finished; %s", salvage.path, salvage.found)
            return
        if found := salvage.take(_MOST):
            await self.merge(found, salvage)

    async def _checked(self) -> None:
        """Handle the result of the database check that continued after the start."""
        queue, check = self._commit_queue, self._commit_queue.store.check
        if check is None or not check.ended():
            return
        if check.verdict and not queue.database.memory:
            await queue.renew(DamagedError(check.verdict))
        else:
            queue.checked()

    async def merge(self, found: list[Change], salvage: Salvage) -> None:
        """Merge changes, unless something newer is known."""
        queue = self._commit_queue
        await queue.commit()
        bans = [one for one in found if isinstance(one, Ban)]
        past = [one for one in found if isinstance(one, HistoryEntry)]
        keys = {(one.network, one.jail) for one in (*bans, *(p.ban for p in past))}
        try:
            database = queue.database
            known = await run_uncancellable(database.history, keys)
            told = {*(one.network for one in database.allowed()), *database.zones()}
        except StoreError as error:
            # The next commit fails too, and creates a new database.
            _log.error("%s", error)
            known, told = {}, set()
        self._learn(one for one in found if isinstance(one, Login))
        queue.add(one for one in found if isinstance(one, Zone) and one.path not in told)
        self._memos.restore(one for one in found if isinstance(one, Memo))
        self._past(past, known)
        self._bans([ban for ban in bans if not salvage.unfinished.forgot(ban)], known)
        # Evidence must be written after its bans.
        queue.add(one for one in found if isinstance(one, EvidenceLines))
        if allowed := [one for one in found if isinstance(one, Allowed) and one.network not in told]:
            await self._allow(allowed)

    def _bans(self, bans: Iterable[Ban], known: dict[Key, list[Ended]]) -> None:
        register, now = self._engine.register, time.time()
        events: list[Event] = []
        for ban in bans:
            ended = known.get((ban.network, ban.jail), [])
            if any(one.why == LIFTED and one.ended > ban.at for one in ended):
                continue
            if ban.until is not None and ban.until <= now:
                self._past([HistoryEntry(ban, ban.until, "expired")] if not ban.dry else [], known)
                # The real ban of the network is known now.
                self._bus.publish(register.replace_adopted(ban.network, now))
                continue
            standing = register.table.of(ban.network, ban.jail)
            # The later end applies; the failures of the active ban were already counted.
            known_ban = ban._replace(failures=0) if standing and not standing.adopted else ban
            events += register.ban(known_ban, now, restored=True)
            register.remember(ban)
        if any(self._engine.spares(event) for event in events if isinstance(event, Ban)):
            self._protection.rest_spared()
        self._bus.publish(events, restored=True)

    def _past(self, past: Iterable[HistoryEntry], known: dict[Key, list[Ended]]) -> None:
        """Add ended bans to the history, unless they are in it. If an administrator lifted a ban, it is
        lifted again if a log that was read again led to the same ban."""
        register, lifted = self._engine.register, list[Unban]()
        for one in past:
            ban, ended = one.ban, known.setdefault((one.ban.network, one.ban.jail), [])
            if any(other.at == ban.at for other in ended):
                continue
            ended.append(Ended(ban.at, one.ended, one.why))
            self._commit_queue.add([one])
            if one.why != LIFTED:
                register.remember(ban)
                continue
            standing = register.table.of(ban.network, ban.jail)
            if standing and standing.origin == "log" and standing.at <= one.ended:
                lifted += register.lift(ban.network, time.time(), one.why, ban.jail)
        self._bus.publish(lifted)

    def _learn(self, found: Iterable[Login]) -> None:
        since = time.time() - self._active.settings.good.days * 86400
        self._commit_queue.add(memory.learn(found, self._engine.known_good, self._suspects, since))

    async def _allow(self, found: list[Allowed]) -> None:
        now = time.time()
        self._allow_list.allow(*(one for one in found if one.until is None or one.until > now))
        self._protection.apply()
        await self._enforcer.reconcile()
