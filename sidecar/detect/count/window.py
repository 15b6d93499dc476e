"""An exact sliding window of failures per network, for one jail."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from sidecar.detect.count.evidence import Evidence
from sidecar.model import Instant, Seconds
from sidecar.network import Network

# One failure: its time, and one number with the place of its line and its weight. The failures of a network
# are packed into bytes, since there may be a million attackers.
_ONE = struct.Struct("<dQ")
_AT = struct.Struct("<d")
_SIZE = _ONE.size
_WEIGHT = 16
_MOST_WEIGHT = (1 << _WEIGHT) - 1
# Limit against attackers with unlimited addresses; beyond it the oldest networks are dropped.
_MOST_NETWORKS = 2_000_000

# The number of networks that `prune` checks per step, which takes a few milliseconds.
_STEP = 10_000

_Failures = list[tuple[Instant, int]]


class ThresholdReached(NamedTuple):
    """maxretry was reached: the number of failures, their last lines (oldest first), and the time of the
    latest one."""

    failures: int
    lines: tuple[str, ...]
    last: Instant


class Window:
    """The failures of the last `findtime` seconds per network; reports the last `maxmatches` lines of
    each."""

    def __init__(
        self, findtime: Seconds, maxretry: int, maxmatches: int, evidence: Evidence | None = None
    ) -> None:
        self._findtime, self._maxretry, self._maxmatches = findtime, maxretry, maxmatches
        self._evidence = evidence or Evidence()
        self._seen: dict[Network, bytes] = {}
        # Whether any failure has a weight above 1.
        self._weighted = False

    def add(self, network: Network, at: Instant, line: str, weight: int = 1) -> ThresholdReached | None:
        """Count one failure, `weight` times. If maxretry is now reached within `findtime`, the network is
        dropped and ThresholdReached returned, else None.

        Failures may arrive out of order, from files that are read late or from several programs. Those within
        one `findtime` count together in any order.
        """
        seen, total = self._seen.get(network, b""), weight
        if weight != 1:
            self._weighted = True
        if seen:
            if at < _last(seen):
                return self._add_late(network, at, line, weight)
            if _first(seen) <= at - self._findtime:
                seen = _since(seen, at - self._findtime)
            total += _total_weight(_unpacked(seen)) if self._weighted else len(seen) // _SIZE
        if total >= self._maxretry:
            self._seen.pop(network, None)
            earlier = self._lines(_unpacked(seen), self._maxmatches - 1)
            lines = (*earlier, line) if line and self._maxmatches > 0 else ()
            return ThresholdReached(len(seen) // _SIZE + 1, lines, at)
        self._seen[network] = seen + _ONE.pack(at, self._kept(line, weight))
        if len(self._seen) > _MOST_NETWORKS:
            self._make_room()
        return None

    def _add_late(self, network: Network, at: Instant, line: str, weight: int) -> ThresholdReached | None:
        self.restore(network, at, line, weight)
        # `restore` kept only those within `findtime` before the latest.
        failures = _unpacked(self._seen[network])
        if _total_weight(failures) < self._maxretry:
            return None
        del self._seen[network]
        lines = tuple(self._lines(failures, self._maxmatches))
        return ThresholdReached(len(failures), lines, failures[-1][0])

    def restore(self, network: Network, at: Instant, line: str, weight: int = 1) -> None:
        """Count a failure of an earlier run, without checking maxretry."""
        self._weighted = self._weighted or weight != 1
        failures = _unpacked(self._seen.get(network, b""))
        insort(failures, (at, self._kept(line, weight)), key=_at)
        packed = b"".join(_ONE.pack(*failure) for failure in failures)
        self._seen[network] = _since(packed, failures[-1][0] - self._findtime)

    def take_over(self, other: Window, unit: Callable[[Network], Network] | None = None) -> None:
        """Take over the failures of a replaced window, for the `unit` of each network, without checking
        maxretry."""
        self._weighted = other._weighted
        if unit is None:
            self._seen = other._seen
            return
        for network, seen in other._seen.items():
            failures = sorted((*_unpacked(self._seen.get(unit(network), b"")), *_unpacked(seen)), key=_at)
            self._seen[unit(network)] = b"".join(_ONE.pack(*failure) for failure in failures)

    def _kept(self, line: str, weight: int) -> int:
        place = self._evidence.keep(line) if self._maxmatches > 0 else 0
        return place << _WEIGHT | min(weight, _MOST_WEIGHT)

    def _lines(self, failures: _Failures, most: int) -> list[str]:
        """The last `most` lines of these failures that are still stored."""
        if most <= 0:
            return []
        kept = self._evidence.line
        return [line for _, word in failures[-most:] if (line := kept(word >> _WEIGHT))]

    def _make_room(self) -> None:
        for network in list(islice(self._seen, _MOST_NETWORKS // 10)):
            del self._seen[network]

    def failures(self) -> Iterator[tuple[Network, Instant, str]]:
        """All counted failures, with their lines ("" if no longer stored)."""
        for network, seen in self._seen.items():
            for at, word in _unpacked(seen):
                yield network, at, self._evidence.line(word >> _WEIGHT)

    def lines(self, network: Network) -> Iterator[str]:
        """The lines of the failures of a network that are still stored."""
        yield from self._lines(_unpacked(self._seen.get(network, b"")), _MOST_WEIGHT)

    def count(self, network: Network) -> int:
        """The number of failures of a network."""
        return len(self._seen.get(network, b"")) // _SIZE

    def drop(self, network: Network) -> bool:
        """Drop the failures of exactly this network. Returns whether there were any."""
        return self._seen.pop(network, None) is not None

    def forget(self, network: Network) -> bool:
        """Drop the failures of all networks inside `network`. Returns whether there were any."""
        if network.single:
            return self.drop(network)
        inside = [n for n in self._seen if network.covers(n)]
        for one in inside:
            del self._seen[one]
        return bool(inside)

    def take(self, network: Network, since: Instant, until: Instant) -> list[tuple[Instant, str]]:
        """Remove the failures of a network in this period. Returns the time and line of each."""
        failures = _unpacked(self._seen.get(network, b""))
        first = bisect_left(failures, since, key=_at)
        last = bisect_right(failures, until, key=_at)
        rest = failures[:first] + failures[last:]
        if rest:
            self._seen[network] = b"".join(_ONE.pack(*failure) for failure in rest)
        else:
            self._seen.pop(network, None)
        return [(at, self._evidence.line(word >> _WEIGHT)) for at, word in failures[first:last]]

    def prune(self, now: Instant) -> Iterator[None]:
        """Drop networks whose last failure is older than `findtime`. Yields between steps, since a million
        take a third of a second."""
        networks = list(self._seen)
        for start in range(0, len(networks), _STEP):
            for network in networks[start : start + _STEP]:
                seen = self._seen.get(network)
                if seen is not None and _last(seen) <= now - self._findtime:
                    del self._seen[network]
            yield

    def __len__(self) -> int:
        return len(self._seen)

    def __iter__(self) -> Iterator[Network]:
        return iter(self._seen)


def _unpacked(seen: bytes) -> _Failures:
    return list(_ONE.iter_unpack(seen))


def _first(seen: bytes) -> Instant:
    at: Instant = _AT.unpack_from(seen)[0]
    return at


def _last(seen: bytes) -> Instant:
    at: Instant = _AT.unpack_from(seen, len(seen) - _SIZE)[0]
    return at


def _since(seen: bytes, oldest: Instant) -> bytes:
    """The failures later than `oldest`."""
    start = 0
    while start < len(seen) and _AT.unpack_from(seen, start)[0] <= oldest:
        start += _SIZE
    return seen[start:] if start else seen


def _at(failure: tuple[Instant, int]) -> Instant:
    return failure[0]


def _total_weight(failures: _Failures) -> int:
    return sum(word & _MOST_WEIGHT for _, word in failures)
