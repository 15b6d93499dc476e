"""Schedules the ends of bans: bucketed by hour, and exact to the second within the current hour."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator

from sidecar.model import Instant, Seconds
from sidecar.network import Network

_HOUR: Seconds = 3600.0


class Deadlines:
    """The networks to check for expired bans, by time.

    Most bans end in years, so until its hour comes a deadline costs one list entry. `dues` returns the
    current deadlines of a network; it is called when their hour has come.
    """

    def __init__(self, dues: Callable[[Network], Iterable[Instant]]) -> None:
        self._dues = dues
        self._hours: dict[int, list[Network]] = {}
        self._soon: list[tuple[Instant, Network]] = []
        self._reached = 0

    def add(self, due: Instant, network: Network, before: Instant | None = None) -> None:
        """Schedule a check of this network. `before` is the deadline that this one replaces."""
        hour = int(due // _HOUR)
        if hour <= self._reached:
            heapq.heappush(self._soon, (due, network))
        elif before is not None and before // _HOUR == hour:
            # It is scheduled for this hour: a ban may be extended by each line of its client.
            return
        elif hour in self._hours:
            self._hours[hour].append(network)
        else:
            self._hours[hour] = [network]

    def over(self, now: Instant) -> Iterator[Network]:
        """The networks whose deadline has passed, once per deadline."""
        hour = int(now // _HOUR)
        if hour > self._reached:
            self._reached = hour
            for passed in [each for each in self._hours if each <= hour]:
                for network in self._hours.pop(passed):
                    for due in self._dues(network):
                        # A later deadline has its own entry.
                        if due < (hour + 1) * _HOUR:
                            heapq.heappush(self._soon, (due, network))
        while self._soon and self._soon[0][0] <= now:
            yield heapq.heappop(self._soon)[1]
