"""Reads zimbraMailTrustedIP, the proxies that mailboxd trusts, from Zimbra's containers."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import NamedTuple

from sidecar.app.active import ActiveConfiguration
from sidecar.app.protect.protection import Protection
from sidecar.model import Seconds, SourceError
from sidecar.network import Network
from sidecar.sources.docker import docker_engine
from sidecar.threads import run_detached

_log = logging.getLogger("zmban")

_PATIENCE_SECONDS = 90.0
# A restarted container is queried soon, and each container again after this time: zmprov takes seconds.
_LASTS_SECONDS = 3600.0
_FORGOTTEN_SECONDS = 86400.0


class _Answer(NamedTuple):
    """The answer of a container since its last start, and when it was given."""

    started: str
    at: Seconds
    proxies: tuple[Network, ...]


class ZimbraTrust:
    """Keeps the answers of the containers. If Docker cannot be queried, or Zimbra does not answer, only the
    configured proxies are trusted."""

    def __init__(self, active: ActiveConfiguration, protection: Protection) -> None:
        self._active, self._protection = active, protection
        # The last answer of each container, by its id.
        self._answers: dict[str, _Answer] = {}

    async def look(self) -> None:
        """Query the containers that were not queried recently, and trust the proxies that they trust."""
        if not self._active.settings.trust.ask_zimbra or not docker_engine.SOCKET.exists():
            return
        try:
            containers = await run_detached(docker_engine.zimbra_containers)
        except SourceError:
            # The check of the host environment reports this already.
            return
        for one in containers:
            last, oldest = self._answers.get(one.id), time.monotonic() - _LASTS_SECONDS
            if last is None or last.started != one.started or last.at <= oldest:
                await self._ask(one)
        # The last answer of a container that restarts, or does not answer for a while, stays in use.
        oldest = time.monotonic() - _FORGOTTEN_SECONDS
        self._answers = {key: answer for key, answer in self._answers.items() if answer.at > oldest}
        await self._protection.trust_also(
            proxy for answer in self._answers.values() for proxy in answer.proxies
        )

    async def _ask(self, one: docker_engine.ZimbraContainer) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                proxies = await run_detached(docker_engine.trusted_ips, one)
        except (SourceError, TimeoutError) as error:
            why = str(error) or f"{one.name} does not answer"
            _log.info("%s; write its proxies into [trust] proxies", why)
            return
        _log.info("%s trusts %s", one.name, ", ".join(n.address for n in proxies) or "no proxy")
        self._answers[one.id] = _Answer(one.started, time.monotonic(), proxies)
