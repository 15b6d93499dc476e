"""mailbox.log can be forged line by line, for a SOAP parse error may print a client's text with its newlines:
what it alone says must come three times, or be said by another log too."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache

from sidecar.model import Instant, Seconds
from sidecar.network import Network

# So many events of a log that may be forged ban without another's word.
ENOUGH = 3
# Two logs that tell of a client within so many seconds tell of the same.
TOGETHER: Seconds = 5.0
_FORGEABLE = ("mailbox.log", "sync.log")
_CONFIRMING = ("audit.log", "nginx.access.log")
_MOST = 50_000


class Corroboration:
    """Which lines are believed at once."""

    def __init__(self) -> None:
        self._confirmed: dict[Network, Instant] = {}

    def see(self, network: Network, source: str, at: Instant) -> None:
        """A log tells of this network."""
        if confirms(source):
            if len(self._confirmed) >= _MOST:
                self._confirmed.clear()
            self._confirmed[network] = at

    def sure(self, network: Network, source: str, at: Instant) -> bool:
        """Whether the log cannot be forged, or another one told of the network in the same seconds."""
        if not forgeable(source):
            return True
        confirmed = self._confirmed.get(network)
        return confirmed is not None and abs(at - confirmed) <= TOGETHER


@cache
def forgeable(source: str) -> bool:
    """Whether a client may write lines of its own into this log, or into one that this glob finds."""
    name = source.rpartition("/")[2]
    return name.startswith(_FORGEABLE) or any(fnmatchcase(log, name) for log in _FORGEABLE)


@cache
def confirms(source: str) -> bool:
    """Whether this log's word is enough for what a forgeable one says."""
    return source.rpartition("/")[2].startswith(_CONFIRMING)
