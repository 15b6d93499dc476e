"""Known-good addresses: clients with a recent login, and mail servers that accepted or delivered mail."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sidecar.bans.guard import Guard
from sidecar.decide.recent_logins import RecentLogins
from sidecar.detect.login_notes import Note
from sidecar.model import Instant, Seconds
from sidecar.network import Network


class KnownGood:
    """`clients` with the accounts that logged in from them, and `mail_servers` (under the account "")."""

    def __init__(self, lasts: Seconds = 0.0) -> None:
        self.clients, self.mail_servers = RecentLogins(lasts), RecentLogins(lasts)
        self._told: Callable[[Network, str, Instant], None] = lambda *_: None

    def tell(self, listener: Callable[[Network, str, Instant], None]) -> None:
        """Tell a listener of each login of a log that must be saved: network, account, time."""
        self._told = listener

    def keep_for(self, lasts: Seconds) -> None:
        """Set how long a client is known-good after a login."""
        self.clients.lasts = self.mail_servers.lasts = lasts

    def take(self, note: Note, guard: Guard) -> Network | None:
        """Record a note from a log. Returns its network if it must be saved. Logins that a suspected proxy
        reports are not trusted."""
        if note.through:
            return None
        try:
            network = Network.parse(note.client).unit()
        except ValueError:
            return None
        if guard.refuse(network) or not self.learn(network, note.account, note.at):
            return None
        self._told(network, note.account, note.at)
        return network

    def learn(self, network: Network, account: str, at: Instant) -> bool:
        """Record a login of an account, "" for a mail server. Returns whether it must be saved."""
        return (self.clients if account else self.mail_servers).login(network, account, at)

    def all(self) -> Iterator[tuple[Network, str, Instant]]:
        """Network, account ("" for a mail server) and time of the last login."""
        yield from self.clients.all()
        yield from self.mail_servers.all()
