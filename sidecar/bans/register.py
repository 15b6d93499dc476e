"""The one owner of the bans: every ban enters and leaves here, whoever decided it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol, TypeVar

from sidecar.bans.history import NEVER, Earlier, History
from sidecar.bans.table import BanTable
from sidecar.model import Ban, Extended, Instant, Seconds, Unban
from sidecar.network import Network

_Changes = TypeVar("_Changes", bound=Collection[Ban | Extended | Unban])


class Watcher(Protocol):
    """Is told of each change of the bans, after it."""

    def changed(self, network: Network, line: str = "") -> None:
        """A ban of exactly this network came, went or changed; `line` is the first of its evidence."""

    def rested(self, networks: Collection[Network]) -> None:
        """Bans of exactly these networks are suspended now, or no longer."""

    def shifted(self, jump: Seconds) -> None:
        """All ends were moved by `jump` seconds."""


class BanRegister:
    """The bans that stand and, where ban times grow, how often each network was banned before.

    Changes return the events that tell of them; the caller publishes these. `table` is for reading.
    """

    def __init__(self, table: BanTable | None = None, history: History | None = None) -> None:
        self.table = BanTable() if table is None else table
        self._history = history
        self._watcher: Watcher | None = None

    def watch(self, watcher: Watcher | None) -> None:
        """Tell this watcher of each change from now on; None: nobody."""
        self._watcher = watcher

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
        return self._told(self._ban(ban, now, restored=restored), *ban.evidence[:1])

    def _ban(self, ban: Ban, now: Instant, *, restored: bool) -> tuple[Ban | Extended | Unban, ...]:
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

    def end_at(self, network: Network, jail: str, until: Instant | None) -> tuple[Extended, ...]:
        """Let the ban of exactly this network end then, later or earlier than before."""
        event = self.table.end_at(network, jail, until)
        return self._told((event,)) if event else ()

    def replace_adopted(self, network: Network, now: Instant) -> list[Unban]:
        """End the bans of exactly this network that were only taken back from the kernel."""
        return self._told(self.table.give_way(network, now))

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
        return self._told(lifted)

    def expire(self, now: Instant) -> list[Unban]:
        """End every ban whose time is over, in order of their ends."""
        return self._told(self.table.expire(now))

    def shift(self, jump: Seconds) -> None:
        """The clock was set by `jump` seconds: the bans last as long as before."""
        self.table.shift(jump)
        if self._watcher is not None:
            self._watcher.shifted(jump)

    def rest(self, bans: Iterable[tuple[Network, str]]) -> set[Network]:
        """Suspend exactly these (network, jail); returns the networks whose enforcement changes by that."""
        before = self.table.all_resting()
        changed = self.table.rest(bans)
        if self._watcher is not None:
            after = self.table.all_resting()
            differ = [n for n in before.keys() | after.keys() if before.get(n) != after.get(n)]
            self._watcher.rested(differ)
        return changed

    def _told(self, changes: _Changes, line: str = "") -> _Changes:
        """Tell the watcher of these changes."""
        if self._watcher is not None:
            for change in changes:
                network = change.ban.network if isinstance(change, Extended) else change.network
                self._watcher.changed(network, line)
        return changes
