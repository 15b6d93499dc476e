"""Writes routes while the service runs: on the event loop's thread alone, each asked and done in one step."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping

from sidecar.kernel.codec import KINDS
from sidecar.kernel.plan import BanBackend, Difference, Step, steps
from sidecar.kernel.routes import RouteKind
from sidecar.model import KernelError
from sidecar.network import Network

# Which route of ours should stand on a prefix now; None: none.
Wish = Callable[[Network], RouteKind | None]

# So many are written before others have their turn: 3 ms.
_SLICE = 1000
# More of ours than these stand on no prefix.
_MOST_DOUBLES = 16


class RouteWriter:
    """The only one who writes routes, so that nothing of ours is written while a difference is decided.

    What a dump shows is a suspicion: it is not of one moment, and bans come and go meanwhile. Each difference
    is decided by the write itself, which the kernel refuses where nothing differs (EEXIST, ESRCH). What was
    different though all of ours was written, somebody else changed: `others` counts it, and nobody counts it
    again, for it is as wanted from then on.

    `due` are networks whose route we have yet to write ourselves; `held` those that nobody touches until an
    unban is committed; `settled` the families in which all that we wanted was written once. `generation` says
    whether anything was written.
    """

    def __init__(self, backend: BanBackend) -> None:
        self._backend = backend
        self.due: set[Network] = set()
        self.held: set[Network] = set()
        self.settled: tuple[int, ...] = ()
        self.others = self.generation = 0
        # What is being written of `due`.
        self._now: set[Network] = set()
        # Held for a slice, so that whoever stops the writing knows that nothing comes behind it.
        self._latch = threading.Lock()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether nothing is written; when it is set, nothing is any more, from whatever thread."""
        return self._stopped

    @stopped.setter
    def stopped(self, stopped: bool) -> None:
        with self._latch:
            self._stopped = stopped
            self.settled = ()

    def ban(self, network: Network) -> None:
        """Refuse it now. KernelError if a foreign route is in the way."""
        with self._single(network) as writes:
            if not writes:
                return
            # The route of a ban that has just ended stands yet: to write it anew would open it for a moment.
            standing = self._backend.write(RouteKind.BLACKHOLE, [network]).get(network, 0)
            if standing and not (standing == errno.EEXIST and network in self.held):
                self._backend.add(network)

    def unban(self, network: Network) -> None:
        """Let it in now."""
        with self._single(network) as writes:
            if writes:
                self._backend.remove(network)

    @contextlib.contextmanager
    def _single(self, network: Network) -> Iterator[bool]:
        """Room for one write; False where nothing is written. What fails is due."""
        with self._latch:
            self.generation += 1
            try:
                yield not self._stopped
            except KernelError:
                self.due.add(network)
                raise

    def mend(self, changed: Mapping[Network, RouteKind | None], wish: Wish) -> None:
        """Somebody else changed these routes, to this kind or (None) to nothing: make good what is not as
        wanted. KernelError."""
        add: dict[Network, RouteKind] = {}
        remove: dict[Network, RouteKind] = {}
        for network, kind in changed.items():
            wanted = wish(network)
            if wanted is not kind:
                add |= {network: wanted} if wanted else {}
                remove |= {network: kind} if kind else {}
        change = Difference(add, remove)
        found: set[Network] = set()
        try:
            for step in steps(change):
                self._write(step, wish, add, found)
        finally:
            self.others += len(found)

    @contextlib.contextmanager
    def owing(self) -> Iterator[None]:
        """What is due is being written; what comes meanwhile, and all of it after an error, is due again."""
        self._now, self.due = self.due, set()
        try:
            yield
            # What was held was not touched.
            self.due |= self._now & self.held
        except BaseException:
            self.due |= self._now
            raise
        finally:
            self._now = set()

    async def settle(self, wish: Wish) -> int:
        """Write what is due where nothing stands, and erase where nothing should; how many routes that were.
        What stands otherwise than it should is left to `apply`. KernelError."""
        return (await self._steps(_due(self._now, wish), wish, ()))[0]

    async def apply(self, change: Difference, wish: Wish) -> tuple[int, dict[Network, int]]:
        """Write what still differs of a difference that a dump showed: how many routes that were, and the
        errno of each that the kernel refused. KernelError."""
        return await self._steps(steps(change), wish, change.add)

    async def _steps(
        self, each: Iterable[Step], wish: Wish, turning: Container[Network]
    ) -> tuple[int, dict[Network, int]]:
        written, codes = 0, dict[Network, int]()
        found: set[Network] = set()
        try:
            for deleting, kind, networks in each:
                for start in range(0, len(networks), _SLICE):
                    step = deleting, kind, networks[start : start + _SLICE]
                    number, refused = self._write(step, wish, turning, found)
                    written += number
                    codes |= refused
                    await asyncio.sleep(0)
        finally:
            self.others += len(found)
        return written, codes

    def _write(
        self, step: Step, wish: Wish, turning: Container[Network], found: set[Network]
    ) -> tuple[int, dict[Network, int]]:
        """One slice; what others had changed is added to `found`. Only on what is `turning` into another kind
        something is erased where something should stand: of IPv6 the kernel would take that too."""
        deleting, kind, networks = step
        versions, held = self._backend.versions, self.held
        if deleting:
            part = [n for n in networks if (now := wish(n)) is None or (now is not kind and n in turning)]
        else:
            part = [n for n in networks if wish(n) is kind and n[0] in versions]
        if held:
            part = [n for n in part if n not in held]
        if not part or (kind is RouteKind.THROW and not self._backend.knows_throw):
            return 0, {}
        with self._latch:
            if self._stopped:
                return 0, {}
            self.generation += 1
            codes = (self._backend.erase if deleting else self._backend.write)(kind, part)
        if self.settled:
            done = (n for n in part if n not in codes and n[0] in self.settled)
            found.update(n for n in done if n not in self.due and n not in self._now)
        refused = {n: code for n, code in codes.items() if not (deleting and code == errno.ESRCH)}
        return len(part) - len(codes), refused

    def seen_whole(self) -> None:
        """All that is wanted was written: what differs from now on is somebody's doing."""
        with self._latch:
            if not self._stopped:
                self.settled = self._backend.versions

    def separate(self, networks: Iterable[Network], wish: Wish) -> None:
        """Several routes of ours stand on each of these prefixes: leave the one that is wanted.
        KernelError."""
        for network in networks:
            with self._latch:
                if self._stopped or network in self.held:
                    continue
                self.generation += 1
                gone = sum(self._erased(kind, network) for kind in KINDS.values())
                wanted = wish(network)
                if wanted is not None:
                    self._backend.write(wanted, [network])
            # Only now it is known that there were several.
            self.others += gone > 1 and network[0] in self.settled

    def _erased(self, kind: RouteKind, network: Network) -> int:
        """Erase all of a kind; how many those were."""
        known = self._backend.knows_throw or kind is RouteKind.BLACKHOLE
        most = range(_MOST_DOUBLES if known else 0)
        return next((n for n in most if self._backend.erase(kind, [network])), len(most))


def _due(networks: Iterable[Network], wish: Wish) -> Iterator[Step]:
    """In the order of `plan.steps`: of what nobody knows what stands there."""
    wanted: dict[RouteKind | None, list[Network]] = {None: [], **{kind: [] for kind in RouteKind}}
    for network in networks:
        wanted[wish(network)].append(network)
    yield True, RouteKind.BLACKHOLE, wanted[None]
    yield False, RouteKind.THROW, wanted[RouteKind.THROW]
    yield False, RouteKind.BLACKHOLE, sorted(wanted[RouteKind.BLACKHOLE])
    yield True, RouteKind.THROW, wanted[None]
