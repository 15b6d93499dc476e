"""Administrators with an SSH session: the address of an older session is not banned because of a log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from sidecar.decide.engine import DecisionEngine
from sidecar.kernel.facts.tcp_peers import peers
from sidecar.model import Instant, KernelError, Seconds
from sidecar.network import Network
from sidecar.threads import run_uncancellable

_log = logging.getLogger("zmban.kernel")

# An older session is logged in: sshd closes a connection after two minutes without a login.
_LONG: Seconds = 300.0


class SshSessions:
    """The SSH sessions of this host, each with the time when it was first seen. `ports` are those of sshd."""

    def __init__(self, ports: Callable[[], Sequence[int]], engine: DecisionEngine) -> None:
        self._ports, self._engine = ports, engine
        self._since: dict[bytes, Instant] = {}
        self._failing = ""

    async def look(self) -> None:
        """Update the engine."""
        self._engine.spare_admins(await self.standing(time.time()))

    async def standing(self, now: Instant) -> set[Network]:
        """The remote addresses of sessions older than five minutes. Empty if the kernel cannot be queried,
        which is logged once."""
        try:
            found = await run_uncancellable(peers, tuple(self._ports()))
        except KernelError as error:
            if str(error) != self._failing:
                self._failing = str(error)
                _log.warning("%s; SSH sessions of administrators are unknown", error)
            return set()
        self._since = {session: self._since.get(session, now) for session in found}
        return {found[session] for session, since in self._since.items() if now - since >= _LONG}
