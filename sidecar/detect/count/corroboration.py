"""Corroboration of logs that clients can forge: in mailbox.log a SOAP parse error may print a client's text
with its newlines. A failure there only counts at once if another log confirms it, else after three of
them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache

from sidecar.model import Instant, Seconds
from sidecar.network import Network

# The number of failures of a forgeable log that suffice for a ban without confirmation.
ENOUGH = 3
# Entries of two logs about a client within this many seconds are taken for the same event.
TOGETHER: Seconds = 5.0
_FORGEABLE = ("mailbox.log", "sync.log")
_CONFIRMING = ("audit.log", "nginx.access.log")
_MOST = 50_000


class Corroboration:
    """Remembers which networks were confirmed by another log, and when."""

    def __init__(self) -> None:
        self._confirmed: dict[Network, Instant] = {}

    def see(self, network: Network, source: str, at: Instant) -> None:
        """Record that a log names this network."""
        if confirms(source):
            if len(self._confirmed) >= _MOST:
                self._confirmed.clear()
            self._confirmed[network] = at

    def is_corroborated(self, network: Network, source: str, at: Instant) -> bool:
        """Whether the log cannot be forged, or another log named the network at about the same time."""
        if not forgeable(source):
            return True
        confirmed = self._confirmed.get(network)
        return confirmed is not None and abs(at - confirmed) <= TOGETHER


@cache
def forgeable(source: str) -> bool:
    """Whether a client can write complete lines into this log, or into one that this glob matches."""
    name = source.rpartition("/")[2]
    return name.startswith(_FORGEABLE) or any(fnmatchcase(log, name) for log in _FORGEABLE)


@cache
def confirms(source: str) -> bool:
    """Whether this log confirms entries of forgeable logs."""
    return source.rpartition("/")[2].startswith(_CONFIRMING)
