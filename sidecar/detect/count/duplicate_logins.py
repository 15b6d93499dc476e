"""Counts a failed login once, although several logs and components write a line about it."""

from __future__ import annotations

from sidecar.model import Instant, Seconds
from sidecar.network import Network

# The lines of one login are at most this many seconds apart.
_TOGETHER: Seconds = 3.0
_MOST = 50_000

# When a login failed, and the voices that reported it.
_Login = tuple[Instant, set[str]]


class DuplicateLogins:
    """Recognises lines about logins that were already counted. A voice is a component of a log. It reports
    each login once, so a second line of the same voice is another login.

    Zimbra writes up to four lines for one login. Joining all lines of a few seconds instead would count the
    attempts of a fast attacker as one.
    """

    def __init__(self) -> None:
        self._logins: dict[tuple[Network, str], list[_Login]] = {}

    def new(self, client: Network, account: str, voice: str, at: Instant) -> bool:
        """Whether this line is the first about a login."""
        key = client, account.casefold()
        recent = [one for one in self._logins.get(key, ()) if abs(at - one[0]) <= _TOGETHER]
        for _, voices in recent:
            if voice not in voices:
                voices.add(voice)
                self._logins[key] = recent
                return False
        recent.append((at, {voice}))
        if len(self._logins) >= _MOST:
            self._logins.clear()
        self._logins[key] = recent
        return True
