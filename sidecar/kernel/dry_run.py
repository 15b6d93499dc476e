"""The backend of a dry run: entries are kept in memory, the kernel is not changed."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence

from sidecar.kernel.backend import BanBackend, Difference, Entries, Entry, EntryFault
from sidecar.kernel.plan import difference
from sidecar.network import Network


class DryRunBackend(BanBackend):
    """A ban list in memory, empty at first. `flush_left` removes what an earlier run left in the kernel, and
    returns how many entries that were: a flush is the way out of a lockout, in a dry run too."""

    versions = (4, 6)
    can_exempt = True
    enforces = False

    def __init__(self, flush_left: Callable[[], int] = lambda: 0) -> None:
        self._flush_left = flush_left
        self._entries: dict[Network, Entry] = {}
        self._attached = False

    def can_write(self) -> bool:
        """Always."""
        return True

    def present(self) -> dict[Network, Entry]:
        """What would be in the kernel."""
        return dict(self._entries)

    def differs(self, wanted: Entries) -> Difference:
        """What would be written."""
        return difference(wanted, self._entries)

    def write(self, entry: Entry, networks: Sequence[Network]) -> Mapping[Network, int]:
        """EEXIST for each network that has an entry."""
        codes = {network: errno.EEXIST for network in networks if network in self._entries}
        self._entries.update((network, entry) for network in networks if network not in codes)
        return codes

    def erase(self, entry: Entry, networks: Sequence[Network]) -> Mapping[Network, int]:
        """ESRCH for each network that has no such entry."""
        codes = {network: errno.ESRCH for network in networks if self._entries.get(network) is not entry}
        for network in networks:
            if network not in codes:
                del self._entries[network]
        return codes

    def add(self, network: Network, entry: Entry = Entry.BAN) -> None:
        """Remember one entry."""
        self._entries[network] = entry

    def remove(self, network: Network) -> None:
        """Forget one entry."""
        self._entries.pop(network, None)

    def fault(self, network: Network, entry: Entry, code: int) -> EntryFault:
        """Never happens: memory refuses nothing."""
        return EntryFault(network, entry, code, f"{entry.value} {network}: dry run")

    def attach(self) -> tuple[int, ...]:
        """All families at the first call."""
        missing = () if self._attached else self.versions
        self._attached = True
        return missing

    def detached(self) -> Mapping[int, str]:
        """All families before `attach`."""
        return {} if self._attached else dict.fromkeys(self.versions, "dry run")

    def lets_through(self, network: Network) -> str | None:
        """Always, without a reason worth telling."""
        return ""

    def refuses(self, network: Network) -> bool:
        """Never."""
        return False

    def flush(self, bans: Sequence[Network] = (), *, everywhere: bool = True) -> int:
        """Entries in memory are not counted: they were never in the kernel."""
        self._entries, self._attached = {}, False
        return self._flush_left() if everywhere else 0

    def close(self) -> None:
        """Nothing to release."""
