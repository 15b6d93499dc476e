"""The command that switches dry run of a jail while the service runs."""

from __future__ import annotations

import logging
from typing import Any

from sidecar.app.active import ActiveConfiguration
from sidecar.app.commands.confirmation import Confirmation
from sidecar.app.commands.networks import COMMAND_LINE
from sidecar.app.persist.memos import Memos
from sidecar.decide.engine import DecisionEngine
from sidecar.offline.arguments import Actor, Name
from sidecar.serve.control import RefusedError
from sidecar.store.changes import DRY_RUN, switches

_log = logging.getLogger("zmban.config")
_CONFIG = 78


class DryRunSwitches:
    """Keeps the switches over restarts, and passes them to configuration and engine."""

    def __init__(
        self, active: ActiveConfiguration, engine: DecisionEngine, memos: Memos, confirmation: Confirmation
    ) -> None:
        self._active, self._engine, self._memos = active, engine, memos
        self._confirmation = confirmation
        memos.on_restored(self._apply)
        # Some may have been salvaged before this line.
        self._apply()

    async def dry_run(self, jail: Name, dry_run: bool | None, by: Actor = COMMAND_LINE) -> dict[str, Any]:
        """Switch dry run of a jail on or off, or (None) to what is configured. ValueError if there is no such
        jail; RefusedError if it must not be switched off."""
        known = jail in self._active.jails
        if not known and not (dry_run is None and jail in self._active.switched):
            raise ValueError(f"no jail {jail} is running; zmban status lists the jails")
        if dry_run is False:
            self._refuse_off(jail)
        if dry_run is None:
            self._memos.drop(DRY_RUN, jail)
        else:
            self._memos.put(DRY_RUN, jail, "on" if dry_run else "off")
        self._apply()
        word = {True: "on", False: "off", None: "to what is configured"}[dry_run]
        _log.warning("[%s] dry run switched %s (by %s)", jail, word, by)
        # As it is now: a reload may remove the jail until the commit.
        answer = {
            "jail": jail,
            "dry_run": self._active.jails[jail].dry_run if known else None,
            "switched": self._active.switched.get(jail),
        }
        await self._confirmation.written()
        return answer

    def _refuse_off(self, jail: str) -> None:
        if self._active.dry_run:
            text = "the whole service is a dry run (zmban run --dry-run), so no jail can enforce its bans"
            raise RefusedError(text, _CONFIG)
        if fault := self._active.faulty(jail):
            text = f"{jail} bans nobody until this is mended: {fault}; mend it and reload"
            raise RefusedError(text, _CONFIG)

    def _apply(self) -> None:
        """Put the switches in force for the next line."""
        found = switches(self._memos)
        if found != self._active.switched:
            self._active.switch(found)
            self._engine.switch(self._active.jails.values())
