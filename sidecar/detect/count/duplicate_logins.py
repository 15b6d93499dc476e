"""One event, one count: a failed login leaves lines in several logs, and of several components in one."""

from __future__ import annotations

from sidecar.model import Instant, Seconds
from sidecar.network import Network

# So far apart are the lines of one login at most.
_TOGETHER: Seconds = 3.0
_MOST = 50_000

# When a login failed, and which voices told of it.
_Told = tuple[Instant, set[str]]


class Logins:
    """Which lines tell of logins that were counted already. A voice is a component of a log: it tells of each
    login once, so that the second line of one voice is another login."""

    def __init__(self) -> None:
        self._told: dict[tuple[Network, str], list[_Told]] = {}

    def new(self, client: Network, account: str, voice: str, at: Instant) -> bool:
        """Whether this line is the first that tells of a login."""
        key = client, account.casefold()
        told = [one for one in self._told.get(key, ()) if abs(at - one[0]) <= _TOGETHER]
        for _, voices in told:
            if voice not in voices:
                voices.add(voice)
                self._told[key] = told
                return False
        told.append((at, {voice}))
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told[key] = told
        return True
