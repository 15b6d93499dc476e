"""When to look at a network because a ban of it may be over: by the hour, within it to the second."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator

from sidecar.model import Instant, Seconds
from sidecar.network import Network

_HOUR: Seconds = 3600.0


class Deadlines:
    """Most bans end in years: until its hour comes, a deadline is one reference in a list.

    `dues` gives the deadlines of a network as they are when its hour has come.
    """

    def __init__(self, dues: Callable[[Network], Iterable[Instant]]) -> None:
        self._dues = dues
        self._hours: dict[int, list[Network]] = {}
        self._soon: list[tuple[Instant, Network]] = []
        self._reached = 0

    def add(self, due: Instant, network: Network) -> None:
        """Look at this network then."""
        hour = int(due // _HOUR)
        if hour <= self._reached:
            heapq.heappush(self._soon, (due, network))
        elif hour in self._hours:
            self._hours[hour].append(network)
        else:
            self._hours[hour] = [network]

    def over(self, now: Instant) -> Iterator[Network]:
        """Those to look at by now, once for each deadline."""
        hour = int(now // _HOUR)
        if hour > self._reached:
            self._reached = hour
            for come in [each for each in self._hours if each <= hour]:
                for network in self._hours.pop(come):
                    for due in self._dues(network):
                        # A later one has an entry of its own.
                        if due < (hour + 1) * _HOUR:
                            heapq.heappush(self._soon, (due, network))
        while self._soon and self._soon[0][0] <= now:
            yield heapq.heappop(self._soon)[1]
