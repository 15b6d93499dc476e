"""Computes the wanted entries, and writes the difference to those in the kernel."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from sidecar.app.enforce.proof import CANARY
from sidecar.app.enforce.route_writer import RouteWriter
from sidecar.bans.table import BanTable
from sidecar.kernel.backend import Difference, Entries, Entry, EntryFault, EntryList
from sidecar.kernel.plan import covering
from sidecar.model import KernelError, Seconds
from sidecar.network import Network, PrefixSet
from sidecar.threads import run_uncancellable

# A refused entry is missing only if none of this many dumps contains it: a dump may lack an entry while
# others are written.
_DUMPS = 5


@dataclass(frozen=True, slots=True)
class Made:
    """The result of one reconcile: the number of `written` entries, the `wanted` ones, those that the last
    dump was `lacking`, and the errno of each `refused` one; `faults` describe these."""

    written: int
    wanted: Entries
    lacking: Collection[Network]
    refused: Mapping[Network, int]
    faults: tuple[EntryFault, ...]


class Reconciler:
    """Writes in the event loop, and reads in a thread at the same time. One reconcile at a time.

    `exempted` are the networks that must stay reachable under a wider ban. `took` gets the time of each
    reconcile.
    """

    def __init__(
        self, backend: EntryList, table: BanTable, took: Callable[[Seconds], None] = lambda _: None
    ) -> None:
        self._backend, self._table, self._took = backend, table, took
        self.writer = RouteWriter(backend)
        self.exempted: set[Network] = set()
        # Bans that an earlier process wrote into the kernel, until it is known whether they are wanted.
        self._unknown: set[Network] = set()
        self._keeps = self._looked = False
        self._doubles: frozenset[Network] = frozenset()
        self._blocked: set[Network] = set()

    def exempt(self, exempted: set[Network]) -> None:
        """Set the networks that must be reachable; the caller reconciles."""
        self.writer.due |= self.exempted ^ exempted
        self.exempted = exempted

    def ban(self, networks: Iterable[Network]) -> dict[Network, KernelError]:
        """Refuse these networks now. Returns those that were not written."""
        failed: dict[Network, KernelError] = {}
        new: list[Network] = []
        for network in networks:
            if network in self._unknown:
                # An earlier process wrote it. Writing it again would let packets through for a moment.
                self._unknown.discard(network)
            elif self._cuts_off(network):
                failed[network] = KernelError(str(self._backend.fault(network, Entry.BAN, 0)))
            else:
                new.append(network)
        return failed | self.writer.ban(new)

    def unban(self, network: Network) -> None:
        """Let this network in now. KernelError."""
        self.writer.unban(network)

    def mend(self, changed: Mapping[Network, Entry | None]) -> None:
        """Restore entries that other programs changed, if they are not as wanted. KernelError."""
        self.writer.mend(changed, self.wish)

    def _cuts_off(self, network: Network) -> bool:
        """Whether a ban would refuse a network that must be reachable, because the backend cannot exempt
        it."""
        wide = not (self._backend.can_exempt or network.single)
        return wide and any(network.covers(throw) for throw in self.exempted)

    def wish(self, network: Network) -> Entry | None:
        """The wanted entry for exactly this network."""
        if network == CANARY:
            return Entry.BAN
        if network in self.exempted:
            return Entry.EXEMPT if self._backend.can_exempt else None
        if self._table.stands(network) and not self._cuts_off(network):
            return Entry.BAN
        return Entry.BAN if network in self._unknown else None

    def wanted(self) -> dict[Network, Entry]:
        """The wanted entries. An exemption overrides a ban, except for the canary."""
        entries = dict.fromkeys(self._table.refused(), Entry.BAN)
        entries.update(dict.fromkeys(self._unknown, Entry.BAN))
        if self._backend.can_exempt:
            entries.update(dict.fromkeys(self.exempted, Entry.EXEMPT))
        entries[CANARY] = Entry.BAN
        if 6 not in self._backend.versions:
            entries = {network: entry for network, entry in entries.items() if network.version == 4}
        return entries

    def forget_unknown(self) -> None:
        """All bans of earlier runs are known now: unknown entries are to be removed. The caller
        reconciles."""
        self.writer.due |= self._unknown
        self._unknown, self._keeps = set(), False

    async def make_good(self, *, keep_unknown: bool = False) -> Made:
        """Write due entries, then all differences. KernelError.

        `keep_unknown` keeps bans that are not wanted, until `forget_unknown`.
        """
        begun = time.perf_counter()
        try:
            return await self._make_good(keep_unknown=keep_unknown)
        finally:
            self._took(time.perf_counter() - begun)

    async def _make_good(self, *, keep_unknown: bool) -> Made:
        wish = self.wish
        self._keeps |= keep_unknown
        with self.writer.owing():
            written = await self.writer.settle(wish)
            wanted = self.wanted()
            change = await run_uncancellable(self._backend.differs, wanted)
            if self._keeps and not self._looked:
                self._unknown = self._kept(change)
            self._looked = True
            # A dump may list an entry twice by mistake, but the next dump does not list the same one twice.
            self.writer.separate(change.doubles & self._doubles, wish)
            self._doubles = change.doubles - self._doubles
            number, refused = await self.writer.apply(change, wish)
            written += number
            for _ in range(_DUMPS - 1):
                if refused.keys() <= self._blocked:
                    break
                change = await run_uncancellable(self._backend.differs, self.wanted())
                number, refused = await self.writer.apply(change.only(refused), wish)
                written += number
        self._blocked = set(refused)
        # If one of them can be written later, that is not drift.
        self.writer.due |= self._blocked
        self.writer.seen_whole()
        return Made(written, wanted, change.add.keys(), refused, tuple(self._faults(refused, wanted)))

    def _kept(self, change: Difference) -> set[Network]:
        """Unknown bans, except those of protected networks."""
        protected = PrefixSet(self.exempted)
        surplus = (n for n, entry in change.remove.items() if entry is Entry.BAN)
        return {n for n in surplus if n not in change.add and protected.covering(n) is None}

    def _faults(self, refused: Mapping[Network, int], wanted: Entries) -> Iterator[EntryFault]:
        for network, code in refused.items():
            yield self._backend.fault(network, self.wish(network) or Entry.BAN, code)
        if not self._backend.can_exempt:
            for network in covering(self.exempted, wanted):
                yield self._backend.fault(network, Entry.BAN, 0)

    def present(self) -> Entries:
        """Our entries, read from the kernel. Blocks."""
        found: dict[Network, Entry] = {}
        for _ in range(_DUMPS):
            before = self.writer.generation
            found.update(self._backend.present())
            # If something was written during the dump, the dump may lack an existing entry.
            if self.writer.generation == before:
                break
        return found
