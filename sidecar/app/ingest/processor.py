"""From what a scanner tells of a line to events: names are looked up, matches judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.app.ingest.resolver import BusyError
from sidecar.detect.log_clock import effective_time
from sidecar.fail2ban.ignore.ignoring import is_name
from sidecar.model import Event, Instant, Match, Refused, Slow

if TYPE_CHECKING:
    from sidecar.app.service import Service


class Verdicts:
    """Asks the judge; of a match that blames a host name when the name was looked up."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def add(
        self, told: Match | Refused | Slow, now: Instant, events: list[Event | Match], *, live: bool
    ) -> None:
        """What a line means, added to the events; one that blames a host name is judged when that was looked
        up."""
        service = self._service
        if not isinstance(told, Match):
            events.append(told)
            return
        at = effective_time(told.at, now, live=live)
        if not told.host or not service.jails[told.jail].filter.names or not is_name(told.host):
            events.append(told)
            events += service.judge.judge(told, at, now)
        elif (known := service.resolver.known(told.host)) is not None:
            events += self._judged(told, [n.address for n in known] or [told.host], at, now)
        else:
            service.later(self._when_looked_up(told, told.host, at, now))

    async def _when_looked_up(self, told: Match, name: str, at: Instant, now: Instant) -> None:
        try:
            found = await self._service.resolver.lookup(name)
        except BusyError:
            found = ()
        self._service.publish(self._judged(told, [n.address for n in found] or [name], at, now))

    def _judged(self, told: Match, hosts: list[str], at: Instant, now: Instant) -> list[Event | Match]:
        """One match may blame several addresses: those of a name."""
        events: list[Event | Match] = [told]
        for host in hosts:
            events += self._service.judge.judge(told._replace(host=host), at, now)
        return events
