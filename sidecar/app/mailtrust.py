"""zimbraMailTrustedIP: the proxies that mailboxd itself believes, asked of Zimbra's containers."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from sidecar.app.threads import beside
from sidecar.model import SourceError
from sidecar.network import Network
from sidecar.sources import docker

if TYPE_CHECKING:
    from sidecar.app.service import Service

_log = logging.getLogger("zmban")

# A container that was started anew is asked soon, and each one from time to time: zmprov takes seconds.
_LOOK_SECONDS = 120.0
_ASK_AGAIN_SECONDS = 3600.0


class MailTrust:
    """Keeps what the containers answered. Where Docker cannot be asked, or Zimbra does not answer, what the
    configuration says stands alone."""

    def __init__(self, service: Service) -> None:
        self._service = service
        # When a container was asked, by its id and start, and what it answered.
        self._asked: dict[tuple[str, str], tuple[float, tuple[Network, ...]]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while self._service.settings.trust.ask_zimbra:
            if docker.SOCKET.exists():
                await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Ask whom was not asked lately; tell the service what changed."""
        try:
            containers = await beside(docker.zimbra_containers)
        except SourceError:
            # Whoever looks around says so already.
            return
        kept = {}
        for one in containers:
            key = one.id, one.started
            at, answer = self._asked.get(key, (-_ASK_AGAIN_SECONDS, ()))
            if time.monotonic() - at >= _ASK_AGAIN_SECONDS:
                at, answer = time.monotonic(), await self._ask(one, answer)
            kept[key] = at, answer
        self._asked = kept
        await self._service.believe({network for _, answer in kept.values() for network in answer})

    async def _ask(self, one: docker.ZimbraContainer, before: tuple[Network, ...]) -> tuple[Network, ...]:
        try:
            answer = await beside(docker.trusted_ips, one)
        except SourceError as error:
            _log.info("%s; write its proxies into [trust] proxies", error)
            return before
        _log.info("%s trusts %s", one.name, ", ".join(n.address for n in answer) or "no proxy")
        return answer
