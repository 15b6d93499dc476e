"""The refused sender domains while the service runs: ends them in time, and writes what the page asks for."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from sidecar.app.active import ActiveConfiguration
from sidecar.domains.domain_maps import DomainMaps
from sidecar.domains.refusal import DomainAnswer, DomainRefusal
from sidecar.model import ConfigError, Instant, ZmbanError
from sidecar.settings.schema import DomainSettings
from sidecar.threads import run_detached

_log = logging.getLogger("zmban.domains")


class RefusedDomains:
    """`look` is called every minute. The maps are made anew when the settings change."""

    def __init__(self, active: ActiveConfiguration) -> None:
        self._active = active
        self._settings: DomainSettings | None = None
        self._maps: DomainMaps | None = None
        self.failing = ""
        self._made_anew = False

    def _current(self) -> DomainMaps | None:
        """The maps as the settings say, None without a directory. ConfigError if they cannot be used."""
        settings = self._active.settings.domains
        if settings != self._settings:
            self._maps = None
            if settings.directory:
                self._maps = DomainMaps(Path(settings.directory), settings.protect, settings.nested)
            self._settings = settings
        return self._maps

    def _wanted(self) -> DomainMaps:
        maps = self._current()
        if maps is None:
            raise ConfigError(
                "no directory for refused domains; set [domains] directory, see docs/domains.md"
            )
        return maps

    async def look(self) -> None:
        """Drop the domains whose end is reached."""
        try:
            maps = self._current()
            ended = await run_detached(self._expire, maps) if maps else []
        except ZmbanError as error:
            if str(error) != self.failing:
                _log.error("refused domains: %s", error)
            self.failing = str(error)
            return
        self.failing = ""
        for one in ended:
            _log.info("sender domain %s is not refused any more", one.domain)

    def _expire(self, maps: DomainMaps) -> list[DomainRefusal]:
        self._made_anew |= not maps.exist()
        return maps.expire(time.time())

    def take_made_anew(self) -> bool:
        """Whether the maps were missing, and written anew, since the last call."""
        found, self._made_anew = self._made_anew, False
        return found

    async def by_name(self) -> dict[str, DomainRefusal] | None:
        """The refused domains; None while there is no map. ZmbanError if it cannot be read."""
        maps = self._current()
        if maps is None or not await run_detached(maps.exist):
            return None
        return {one.domain: one for one in await run_detached(maps.refusals)}

    async def settle(
        self, wanted: Mapping[str, DomainRefusal | None], seen: Mapping[str, DomainRefusal]
    ) -> tuple[dict[str, DomainRefusal], dict[str, str]]:
        """See DomainMaps.settle."""
        return await run_detached(self._wanted().settle, wanted, seen, time.time())

    def protects(self, domain: str) -> bool:
        """Whether a domain is never refused here."""
        return self._wanted().protects(domain)

    async def refusals(self) -> list[DomainRefusal]:
        """The refused domains; none without a directory."""
        maps = self._current()
        return await run_detached(maps.refusals) if maps else []

    async def add(
        self, domains: Iterable[str], reason: str, until: Instant | None, by: str, *, yes: bool
    ) -> list[DomainAnswer]:
        """Refuse domains."""
        maps, now = self._wanted(), time.time()
        return await run_detached(
            lambda: maps.add(domains, reason=reason, until=until, by=by, now=now, yes=yes)
        )

    async def remove(self, domains: Iterable[str]) -> list[DomainAnswer]:
        """Accept mail from domains again."""
        return await run_detached(self._wanted().remove, domains)

    def doubts(self) -> tuple[str, ...]:
        """Why maps are not written."""
        return (f"refused domains: {self.failing}",) if self.failing else ()
