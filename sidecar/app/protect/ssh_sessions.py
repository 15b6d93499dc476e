"""Administrators who are at work here: no log may ban who has had an SSH session for a while."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sidecar.app.background import run_uncancellable
from sidecar.kernel.sessions import peers
from sidecar.model import Instant, KernelError, Seconds
from sidecar.network import Network

_log = logging.getLogger("zmban.kernel")

# sshd throws out after two minutes who has not logged in.
_LONG: Seconds = 300.0


class Sessions:
    """The SSH sessions of this host, each with the moment when it was first seen."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = tuple(ports)
        self._since: dict[bytes, Instant] = {}
        self._failing = ""

    async def look(self, now: Instant) -> set[Network]:
        """Who has had one for so long. Where the kernel cannot be asked: nobody, and the log says so once."""
        try:
            found = await run_uncancellable(peers, self._ports)
        except KernelError as error:
            if str(error) != self._failing:
                self._failing = str(error)
                _log.warning("%s; administrators who are logged in are not known", error)
            return set()
        self._since = {session: self._since.get(session, now) for session in found}
        return {found[session] for session, since in self._since.items() if now - since >= _LONG}
