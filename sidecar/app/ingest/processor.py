"""Processes blocks of log lines into batches of events: scans, decides, and publishes."""

from __future__ import annotations

import time

from sidecar.app.active import ActiveConfiguration
from sidecar.app.background import BackgroundTasks
from sidecar.app.bus import Bus
from sidecar.app.ingest.followed_log import FollowedLog
from sidecar.app.ingest.known_good_reader import KnownGoodReader
from sidecar.app.ingest.log_zones import LogZones
from sidecar.decide.engine import DecisionEngine
from sidecar.detect.log_clock import effective_time
from sidecar.fail2ban.ignore.ignoreip import is_name
from sidecar.host.resolver import BusyError, Resolver
from sidecar.model import Block, Event, Instant, Match, Refused, Slow
from sidecar.serve.metrics import Metrics


class Processor:
    """Passes each match to the engine; a match with a host name once the name is resolved."""

    def __init__(
        self,
        active: ActiveConfiguration,
        engine: DecisionEngine,
        bus: Bus,
        known_good: KnownGoodReader,
        zones: LogZones,
        resolver: Resolver,
        background: BackgroundTasks,
        metrics: Metrics,
    ) -> None:
        self._active, self._engine, self._bus = active, engine, bus
        self._known_good, self._zones = known_good, zones
        self._resolver, self._background = resolver, background
        self._sift, self._match = metrics.stages["sift"], metrics.stages["match"]

    def process(self, log: FollowedLog, block: Block) -> None:
        """Process a block, and publish its events in one batch."""
        now = block.read_at
        if block.live:
            self._zones.look(log, block.data, now)
        self._known_good.look(log, block.data, now)
        events: list[Event | Match] = []
        for found in self._scanned(log, block):
            self._add(found, now, events, live=block.live)
        self._bus.publish(events, live=block.live, source=log.path, read_at=now)

    def _scanned(self, log: FollowedLog, block: Block) -> list[Match | Refused | Slow]:
        """As `Scanner.scan`, with the time of each half."""
        begun = time.perf_counter()
        sifted = log.scanner.prefilter.sift(block.data)
        between = time.perf_counter()
        found = log.scanner.match(sifted, block.read_at)
        self._sift.observe(between - begun)
        self._match.observe(time.perf_counter() - between)
        return found

    def _add(
        self, found: Match | Refused | Slow, now: Instant, events: list[Event | Match], *, live: bool
    ) -> None:
        """Add the events of a line."""
        if not isinstance(found, Match):
            events.append(found)
            return
        at = effective_time(found.at, now, live=live)
        host = found.host
        if not host or not self._active.jails[found.jail].filter.names or not is_name(host):
            events.append(found)
            events += self._engine.decide(found, at, now)
        elif (known := self._resolver.known(host)) is not None:
            events += self._decided(found, [n.address for n in known] or [host], at, now)
        else:
            self._background.spawn(self._when_looked_up(found, host, at, now))

    async def _when_looked_up(self, match: Match, name: str, at: Instant, now: Instant) -> None:
        try:
            found = await self._resolver.lookup(name)
        except BusyError:
            found = ()
        self._bus.publish(self._decided(match, [n.address for n in found] or [name], at, now))

    def _decided(self, match: Match, hosts: list[str], at: Instant, now: Instant) -> list[Event | Match]:
        """The events of a match. A match with a host name counts for all its addresses."""
        events: list[Event | Match] = [match]
        for host in hosts:
            events += self._engine.decide(match._replace(host=host), at, now)
        return events
