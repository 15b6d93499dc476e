"""mailbox.log can be forged line by line, for a SOAP parse error may print a client's text with its newlines:
what it alone says must come three times, or be said by another log too."""

from __future__ import annotations

from functools import cache

from sidecar.model import Instant, Seconds
from sidecar.network import Network

# So many events of a log that may be forged ban without another's word.
ENOUGH = 3
_TOGETHER: Seconds = 5.0
_FORGEABLE = ("mailbox.log", "sync.log")
_CONFIRMING = ("audit.log", "nginx.access.log")
_MOST = 50_000


class Certainty:
    """Which lines are believed at once."""

    def __init__(self) -> None:
        self._confirmed: dict[Network, Instant] = {}

    def see(self, network: Network, source: str, at: Instant) -> None:
        """A log tells of this network."""
        if _kind(source) == "confirming":
            if len(self._confirmed) >= _MOST:
                self._confirmed.clear()
            self._confirmed[network] = at

    def sure(self, network: Network, source: str, at: Instant) -> bool:
        """Whether the log cannot be forged, or another one told of the network in the same seconds."""
        if _kind(source) != "forgeable":
            return True
        confirmed = self._confirmed.get(network)
        return confirmed is not None and abs(at - confirmed) <= _TOGETHER


@cache
def _kind(source: str) -> str:
    name = source.rpartition("/")[2]
    return (
        "forgeable" if name.startswith(_FORGEABLE) else "confirming" if name.startswith(_CONFIRMING) else ""
    )
