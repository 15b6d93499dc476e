"""The one owner of the bans: every ban enters and leaves here, whoever decided it."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.bans.history import NEVER, Earlier, History
from sidecar.bans.table import BanTable
from sidecar.model import Ban, Extended, Instant, Seconds, Unban
from sidecar.network import Network


class BanRegister:
    """The bans that stand and, where ban times grow, how often each network was banned before.

    Changes return the events that tell of them; the caller publishes these. `table` is for reading.
    """

    def __init__(self, table: BanTable | None = None, history: History | None = None) -> None:
        self.table = BanTable() if table is None else table
        self._history = history

    @property
    def counts_earlier(self) -> bool:
        """Whether earlier bans are counted."""
        return self._history is not None

    def count_earlier(self, history: History | None) -> None:
        """Count earlier bans from now on, beginning with these; None: no jail's ban time grows."""
        self._history = history

    def earlier(self, network: Network, jail: str, *, everywhere: bool = False) -> Earlier:
        """The earlier bans of a network in a jail, or (`everywhere`) in all jails together."""
        return self._history.of(network, jail, everywhere=everywhere) if self._history else NEVER

    def ban(self, ban: Ban, now: Instant, *, restored: bool = False) -> tuple[Ban | Extended | Unban, ...]:
        """Add a ban; nothing if one of its jail lasts longer already.

        A ban that a log led to, or that was `restored` from a damaged database, replaces the ban of exactly
        its network that was only taken back from the kernel.
        """
        event = self.table.ban(ban)
        if event is None:
            return ()
        if not isinstance(event, Ban) or event.dry:
            return (event,)
        if event.origin == "log" and not restored and self._history is not None:
            self._history.add(event.network, event.jail, event.times, event.at)
        if restored or event.origin == "log":
            return (event, *self.table.give_way(event.network, now))
        return (event,)

    def replace_adopted(self, network: Network, now: Instant) -> list[Unban]:
        """End the bans of exactly this network that were only taken back from the kernel."""
        return self.table.give_way(network, now)

    def remember(self, ban: Ban) -> None:
        """Count a ban that was decided elsewhere or earlier among the earlier ones."""
        if self._history is None or ban.dry:
            return
        known = self._history.of(ban.network, ban.jail)
        self._history.add(ban.network, ban.jail, max(known.times, ban.times), max(known.at, ban.at))

    def lift(self, network: Network, now: Instant, reason: str, jail: str | None = None) -> list[Unban]:
        """End the bans of exactly this network before their time, of one jail or of all. They do not count as
        earlier bans."""
        lifted = self.table.lift(network, now, reason, jail)
        if self._history is not None:
            for unban in lifted:
                self._history.forget(unban.network, unban.jail)
        return lifted

    def expire(self, now: Instant) -> list[Unban]:
        """End every ban whose time is over, in order of their ends."""
        return self.table.expire(now)

    def shift(self, jump: Seconds) -> None:
        """The clock was set by `jump` seconds: the bans last as long as before."""
        self.table.shift(jump)

    def rest(self, bans: Iterable[tuple[Network, str]]) -> set[Network]:
        """Suspend exactly these (network, jail); returns the networks whose enforcement changes by that."""
        return self.table.rest(bans)
