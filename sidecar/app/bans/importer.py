"""Imports bans of other programs and hosts into the running service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from sidecar.app.active import ActiveConfiguration
from sidecar.app.bus import Bus
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.protect.protection import Protection
from sidecar.app.runtime_options import RuntimeOptions
from sidecar.bans.register import BanRegister
from sidecar.model import Ban, Event
from sidecar.offline.import_decisions import ImportDecisions, Record
from sidecar.serve.control import RefusedError
from sidecar.threads import run_uncancellable


class Importer:
    """One import at a time: two at once would count a ban twice."""

    def __init__(
        self,
        options: RuntimeOptions,
        active: ActiveConfiguration,
        register: BanRegister,
        protection: Protection,
        commit_queue: CommitQueue,
        bus: Bus,
    ) -> None:
        self._options, self._active, self._register = options, active, register
        self._protection, self._commit_queue, self._bus = protection, commit_queue, bus
        self._turn = asyncio.Lock()

    async def take(self, records: Iterable[Record]) -> dict[str, Any]:
        """Import bans. Returns the number per result, and the bans that were not imported. The caller waits
        until they are committed."""
        async with self._turn:
            taken = [(record.ban(), record.current) for record in records]
            if failed := await self._commit_queue.commit():
                raise RefusedError(f"nothing was imported: {failed}", 69)
            keys = {(ban.network, ban.jail) for ban, _ in taken}
            history = await run_uncancellable(self._commit_queue.database.history, keys)
            decisions = ImportDecisions(
                self._register, history, self._protection.refuse, self._is_dry, time.time()
            )
            for ban, current in taken:
                decisions.take(ban, current=current)
            for one in (*decisions.events, *(past.ban for past in decisions.past)):
                if isinstance(one, Ban):
                    self._register.remember(one)
            self._commit_queue.add(decisions.past)
            # Bans of an export were counted and logged where they were made.
            self._bus.publish(event for event in decisions.events if not _restored(event))
            self._bus.publish((event for event in decisions.events if _restored(event)), restored=True)
            return decisions.answer()

    def _is_dry(self, jail: str) -> bool:
        jails = self._active.jails
        return self._options.dry_run or (jail in jails and jails[jail].dry_run)


def _restored(event: Event) -> bool:
    return isinstance(event, Ban) and event.origin != "import"
