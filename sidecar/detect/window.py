"""How often: an exact sliding window of failures per network, for one jail."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from typing import NamedTuple

from sidecar.model import Instant, Network, Seconds


class Seen(NamedTuple):
    """One failure in a window: when, its line (evidence), and for how many it counts."""

    at: Instant
    line: str
    weight: int = 1


class Window:
    """Failures of the last `findtime` seconds, per network; at most `maxmatches` lines are kept of each."""

    def __init__(self, findtime: Seconds, maxretry: int, maxmatches: int) -> None:
        self._findtime, self._maxretry, self._maxmatches = findtime, maxretry, maxmatches
        self._seen: dict[Network, list[Seen]] = {}

    def add(self, network: Network, at: Instant, line: str, weight: int = 1) -> list[Seen] | None:
        """Count one failure, `weight` times. With it, maxretry is reached within `findtime`: those failures,
        oldest first, and the network is forgotten. Else None.

        Failures may come out of order; the window always ends at the failure that is added.
        """
        seen = self._seen.setdefault(network, [])
        if seen and at < seen[-1].at:
            insort(seen, Seen(at, line, weight), key=_at)
        else:
            seen.append(Seen(at, line, weight))
        stale = bisect_right(seen, seen[-1].at - self._findtime, key=_at)
        del seen[:stale]
        first = bisect_right(seen, at - self._findtime, key=_at)
        last = bisect_right(seen, at, key=_at)
        if sum(one.weight for one in seen[first:last]) >= self._maxretry:
            del self._seen[network]
            return seen[first:last]
        self._shorten(seen)
        return None

    def restore(self, network: Network, at: Instant, line: str, weight: int = 1) -> None:
        """Count a failure of an earlier run; it decides nothing by itself."""
        insort(self._seen.setdefault(network, []), Seen(at, line, weight), key=_at)

    def _shorten(self, seen: list[Seen]) -> None:
        """Forget the text of all but the last `maxmatches` failures."""
        index = len(seen) - self._maxmatches - 1
        if index >= 0 and seen[index].line:
            seen[index] = seen[index]._replace(line="")

    def count(self, network: Network) -> int:
        """How many failures stand against it."""
        return len(self._seen.get(network, ()))

    def forget(self, network: Network) -> bool:
        """Drop what stands against every network inside `network`; whether there was any."""
        if network.single:
            return self._seen.pop(network, None) is not None
        inside = [n for n in self._seen if network.covers(n)]
        for one in inside:
            del self._seen[one]
        return bool(inside)

    def prune(self, now: Instant) -> None:
        """Drop networks whose last failure is older than `findtime`."""
        old = [n for n, seen in self._seen.items() if seen[-1].at <= now - self._findtime]
        for network in old:
            del self._seen[network]

    def __len__(self) -> int:
        return len(self._seen)

    def __iter__(self) -> Iterator[Network]:
        return iter(self._seen)


def _at(seen: Seen) -> Instant:
    return seen.at
