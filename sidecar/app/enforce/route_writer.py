"""Writes entries, in the event loop only. The result of each write shows what differed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

from sidecar.kernel.backend import Difference, Entry, EntryList
from sidecar.kernel.plan import Step, steps
from sidecar.model import KernelError
from sidecar.network import Network

# Returns the wanted entry of a network; None: no entry.
Wish = Callable[[Network], Entry | None]

# Entries written before other tasks of the event loop run; this takes 3 ms.
_SLICE = 1000
# Maximum number of entries of ours for one network.
_MOST_DOUBLES = 16


class RouteWriter:
    """The only writer of entries, so that no other write interferes while a difference is handled.

    A difference found in a dump may be outdated: a dump takes time, and bans come and go. The write itself
    decides, because the kernel refuses it if nothing differs (EEXIST, ESRCH). If an entry differed although
    all wanted entries had been written, another program changed it: `changed_externally` counts it once,
    because the entry is then restored.

    `due` are networks whose entry was not written yet. `held` are those that are not changed until an unban
    is committed. `settled` are the families in which all wanted entries were written once. `generation` grows
    with each write.
    """

    def __init__(self, backend: EntryList) -> None:
        self._backend = backend
        self.due: set[Network] = set()
        self.held: set[Network] = set()
        self.settled: tuple[int, ...] = ()
        self.changed_externally = self.generation = 0
        # The part of `due` that is being written.
        self._now: set[Network] = set()
        # Held for a slice, so that nothing is written after `stopped` is set.
        self._latch = threading.Lock()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether nothing may be written. Can be set from any thread; nothing is written after that."""
        return self._stopped

    @stopped.setter
    def stopped(self, stopped: bool) -> None:
        with self._latch:
            self._stopped = stopped
            self.settled = ()

    def ban(self, networks: Sequence[Network]) -> dict[Network, KernelError]:
        """Refuse these networks now. Returns those that were not written, for example because a foreign route
        is in the way; they are due."""
        with self._latch:
            self.generation += 1
            if self._stopped or not networks:
                return {}
            try:
                codes = self._backend.write(Entry.BAN, networks)
            except KernelError as error:
                failed = dict.fromkeys(networks, error)
            else:
                failed = dict(self._added(codes))
            self.due.update(failed)
            return failed

    def _added(self, codes: Mapping[Network, int]) -> Iterator[tuple[Network, KernelError]]:
        """Write refused bans in place of other entries of ours, where there are any."""
        for network, code in codes.items():
            # The entry of a ban that has just ended still exists. Writing it again would let packets through
            # for a moment.
            if code == errno.EEXIST and network in self.held:
                continue
            try:
                self._backend.add(network)
            except KernelError as error:
                yield network, error

    def unban(self, network: Network) -> None:
        """Let this network in now. After a KernelError it is due."""
        with self._latch:
            self.generation += 1
            try:
                if not self._stopped:
                    self._backend.remove(network)
            except KernelError:
                self.due.add(network)
                raise

    def mend(self, changed: Mapping[Network, Entry | None], wish: Wish) -> None:
        """Restore entries that another program changed, or removed (None), if they are not as wanted.
        KernelError."""
        add: dict[Network, Entry] = {}
        remove: dict[Network, Entry] = {}
        for network, entry in changed.items():
            wanted = wish(network)
            if wanted is not entry:
                add |= {network: wanted} if wanted else {}
                remove |= {network: entry} if entry else {}
        change = Difference(add, remove)
        found: set[Network] = set()
        try:
            for step in steps(change):
                self._write(step, wish, add, found)
        finally:
            self.changed_externally += len(found)

    @contextlib.contextmanager
    def owing(self) -> Iterator[None]:
        """Context in which due entries are written. Networks added in it stay due; after an error, all do."""
        self._now, self.due = self.due, set()
        try:
            yield
            # Held entries were not changed.
            self.due |= self._now & self.held
        except BaseException:
            self.due |= self._now
            raise
        finally:
            self._now = set()

    async def settle(self, wish: Wish) -> int:
        """Write due entries: add missing ones, remove unwanted ones. Returns their number. An entry of the
        other kind is left to `apply`. KernelError."""
        return (await self._steps(_due(self._now, wish), wish, ()))[0]

    async def apply(self, change: Difference, wish: Wish) -> tuple[int, dict[Network, int]]:
        """Write the differences that a dump showed, if they still exist. Returns the number of written
        entries, and the errno of each refused one. KernelError."""
        return await self._steps(steps(change), wish, change.add)

    async def _steps(
        self, each: Iterable[Step], wish: Wish, turning: Container[Network]
    ) -> tuple[int, dict[Network, int]]:
        written, codes = 0, dict[Network, int]()
        found: set[Network] = set()
        try:
            for deleting, entry, networks in each:
                for start in range(0, len(networks), _SLICE):
                    step = deleting, entry, networks[start : start + _SLICE]
                    number, refused = self._write(step, wish, turning, found)
                    written += number
                    codes |= refused
                    await asyncio.sleep(0)
        finally:
            self.changed_externally += len(found)
        return written, codes

    def _write(
        self, step: Step, wish: Wish, turning: Container[Network], found: set[Network]
    ) -> tuple[int, dict[Network, int]]:
        """Write one slice. Entries that other programs changed are added to `found`. Where an entry is
        wanted, another kind is only deleted if it is `turning` into the wanted one, because IPv6 ignores the
        kind of a deleted entry."""
        deleting, entry, networks = step
        versions, held = self._backend.versions, self.held
        if deleting:
            part = [n for n in networks if (now := wish(n)) is None or (now is not entry and n in turning)]
        else:
            part = [n for n in networks if wish(n) is entry and n[0] in versions]
        if held:
            part = [n for n in part if n not in held]
        if not part or (entry is Entry.EXEMPT and not self._backend.can_exempt):
            return 0, {}
        with self._latch:
            if self._stopped:
                return 0, {}
            self.generation += 1
            codes = (self._backend.erase if deleting else self._backend.write)(entry, part)
        if self.settled:
            done = (n for n in part if n not in codes and n[0] in self.settled)
            found.update(n for n in done if n not in self.due and n not in self._now)
        refused = {n: code for n, code in codes.items() if not (deleting and code == errno.ESRCH)}
        return len(part) - len(codes), refused

    def seen_whole(self) -> None:
        """All wanted entries were written: from now on, another program causes the differences."""
        with self._latch:
            if not self._stopped:
                self.settled = self._backend.versions

    def separate(self, networks: Iterable[Network], wish: Wish) -> None:
        """Keep only the wanted one of several entries of ours for each of these networks. KernelError."""
        for network in networks:
            with self._latch:
                if self._stopped or network in self.held:
                    continue
                self.generation += 1
                gone = sum(self._erased(entry, network) for entry in Entry)
                wanted = wish(network)
                if wanted is not None:
                    self._backend.write(wanted, [network])
            # Only the deleted entries prove that there were several.
            self.changed_externally += gone > 1 and network[0] in self.settled

    def _erased(self, entry: Entry, network: Network) -> int:
        """Delete all entries of a kind. Returns their number."""
        known = self._backend.can_exempt or entry is Entry.BAN
        most = range(_MOST_DOUBLES if known else 0)
        return next((n for n in most if self._backend.erase(entry, [network])), len(most))


def _due(networks: Iterable[Network], wish: Wish) -> Iterator[Step]:
    """Steps in the order of `plan.steps`, without knowing the present entries."""
    wanted: dict[Entry | None, list[Network]] = {None: [], **{entry: [] for entry in Entry}}
    for network in networks:
        wanted[wish(network)].append(network)
    yield True, Entry.BAN, wanted[None]
    yield False, Entry.EXEMPT, wanted[Entry.EXEMPT]
    yield False, Entry.BAN, sorted(wanted[Entry.BAN])
    yield True, Entry.EXEMPT, wanted[None]
