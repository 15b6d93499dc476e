"""zimbraMailTrustedIP: the proxies that mailboxd itself believes, asked of Zimbra's containers."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from sidecar.app.background import run_detached
from sidecar.app.protect import protection
from sidecar.model import SourceError
from sidecar.network import Network
from sidecar.sources.docker import engine

if TYPE_CHECKING:
    from sidecar.app.service import Service

_log = logging.getLogger("zmban")

# A container that was started anew is asked soon, and each one from time to time: zmprov takes seconds.
_LOOK_SECONDS = 120.0
_PATIENCE_SECONDS = 90.0
_LASTS_SECONDS = 3600.0
_FORGOTTEN_SECONDS = 86400.0


class _Told(NamedTuple):
    """What a container said after this start of it, and when."""

    started: str
    at: float
    proxies: tuple[Network, ...]


class MailTrust:
    """Keeps what the containers answered. Where Docker cannot be asked, or Zimbra does not answer, what the
    configuration says stands alone."""

    def __init__(self, service: Service) -> None:
        self._service = service
        # Of each container, by its id, what it answered last.
        self._told: dict[str, _Told] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while self._service.settings.trust.ask_zimbra:
            if engine.SOCKET.exists():
                await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Ask whom was not asked lately; tell the service what changed."""
        try:
            containers = await run_detached(engine.zimbra_containers)
        except SourceError:
            # Whoever looks around says so already.
            return
        for one in containers:
            told = self._told.get(one.id)
            if told is None or told.started != one.started or told.at <= time.monotonic() - _LASTS_SECONDS:
                await self._ask(one)
        # One that is started anew, or cannot answer for a while, is believed as before.
        oldest = time.monotonic() - _FORGOTTEN_SECONDS
        self._told = {key: told for key, told in self._told.items() if told.at > oldest}
        await protection.believe(
            self._service, {proxy for told in self._told.values() for proxy in told.proxies}
        )

    async def _ask(self, one: engine.ZimbraContainer) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                proxies = await run_detached(engine.trusted_ips, one)
        except (SourceError, TimeoutError) as error:
            why = str(error) or f"{one.name} does not answer"
            _log.info("%s; write its proxies into [trust] proxies", why)
            return
        _log.info("%s trusts %s", one.name, ", ".join(n.address for n in proxies) or "no proxy")
        self._told[one.id] = _Told(one.started, time.monotonic(), proxies)
