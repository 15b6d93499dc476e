"""The logs of a service: found by their globs, followed each by its own task, judged block by block."""

from __future__ import annotations

import asyncio
import glob
import logging
import os
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.app.judge import settle
from sidecar.app.logs import by_file
from sidecar.app.resolver import BusyError
from sidecar.detect.beginning import first_since
from sidecar.detect.clock import LogClock
from sidecar.detect.matcher import LONGEST_LINE
from sidecar.detect.scanner import Scanner
from sidecar.fail2ban.ignoring import is_name
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Ban, Block, Event, Instant, Match, Position, Refused, Slow, SourceError
from sidecar.sources.file import BLOCK, Follower
from sidecar.sources.reading import LONGEST
from sidecar.sources.wake import Wake
from sidecar.store.database import Zone

if TYPE_CHECKING:
    from sidecar.app.service import Service

_log = logging.getLogger("zmban.sources")
_LOOK_SECONDS = 2.0
_RETRY_SECONDS = (1.0, 30.0)
# No block may keep everybody else waiting for longer: the next one is shorter then.
_LONGEST_TURN = 0.005
# Lines are not quite in order of time.
_MARGIN_SECONDS = 60.0


class Log:
    """One log that is followed: its scanner, the zone of its dates, and how far the reading is."""

    def __init__(self, path: str, scanner: Scanner, clock: LogClock | None, *, tail: bool) -> None:
        self.path, self.scanner, self.clock, self.tail = path, scanner, clock, tail
        if clock is not None:
            scanner.at_zone(clock.zone)
        self.caught_up = False
        self.error: str | None = None
        self.last_line: float | None = None
        self.positions: Sequence[Position] = ()

    def at_end(self) -> None:
        """Everything that was written is read."""
        self.caught_up, self.error = True, None


class Logs:
    """All logs. New files under a glob are found while running."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._wake = Wake()
        self.logs: dict[str, Log] = {}
        self.caught_up = asyncio.Event()
        self._backlog = asyncio.Lock()

    async def run(self) -> None:
        """Look for logs, and follow each, until cancelled."""
        database = self._service.ledger.database
        positions, zones = database.positions(), database.zones()
        if not positions:
            # Who is known to be good must be known before anybody is judged.
            await self._service.goods.read_past(list(self._found()))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._wake.run(), name="inotify")
            while True:
                for path, (jails, tail) in self._found().items():
                    if path not in self.logs:
                        scanner = Scanner(path, jails, self._service.zone, self._service.trust)
                        self._service.metrics.follow(path)
                        log = self.logs[path] = Log(path, scanner, self._clock(scanner, zones), tail=tail)
                        tasks.create_task(self._follow(log, positions.get(path, [])), name=path)
                if all(log.caught_up or log.error for log in self.logs.values()):
                    self.caught_up.set()
                await asyncio.sleep(_LOOK_SECONDS if self.caught_up.is_set() else 0.05)

    def _clock(self, scanner: Scanner, zones: dict[str, float | None]) -> LogClock | None:
        """What is known of the zone of a log; None where its jails tell it."""
        if scanner.datepattern is None:
            return None
        clock = LogClock(self._service.zone, scanner.datepattern, zones.get(scanner.path))
        if scanner.path not in zones and (last := _last_line(scanner.path)):
            raw, written = last
            if clock.guess(scanner.decode(raw), written):
                self._learnt(scanner.path, clock)
        return clock

    def _learnt(self, path: str, clock: LogClock) -> None:
        self._service.ledger.add([Zone(path, clock.learnt)])
        _log.info("%s: its dates are read as those of %s", path, clock.zone)

    def _found(self) -> dict[str, tuple[list[JailSpec], bool]]:
        """Every file that a glob of a jail names now; it is read from its end only if all want it so."""
        named = [
            (path, jail, pattern.tail)
            for jail in self._service.jails.values()
            for pattern in jail.logpath
            for path in sorted(glob.glob(pattern.glob))
        ]
        tails = {path: all(tail for other, _, tail in named if other == path) for path, _, _ in named}
        return {path: (jails, tails[path]) for path, jails in by_file((p, j) for p, j, _ in named).items()}

    async def _follow(self, log: Log, positions: Sequence[Position]) -> None:
        """Follow one log; after an error again, with growing pauses."""
        pause = _RETRY_SECONDS[0]
        log.positions = positions
        while True:
            follower = Follower(log.path, self._wake, log.positions, beginning=partial(self._beginning, log))
            follower.on_end(log.at_end)
            try:
                async for block in follower.blocks():
                    log.error, pause, log.positions = None, _RETRY_SECONDS[0], follower.positions
                    if block.live:
                        follower.length = self._judge(log, block, follower.length)
                    else:
                        # One backlog at a time, so that a live log never waits for more than one block.
                        async with self._backlog:
                            follower.length = self._judge(log, block, follower.length)
                            await asyncio.sleep(0)
                    await self._service.ledger.room()
            except SourceError as error:
                if log.error is None:
                    _log.warning("%s; trying again", error)
                log.error = str(error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RETRY_SECONDS[1])

    def _beginning(self, log: Log, path: str) -> int:
        """Where to begin in a log that was never read: at its end if all its jails want it so, else where
        the longest of their windows begins."""
        if log.tail:
            return os.stat(path).st_size
        jails = [self._service.jails[name] for name in log.scanner.jails]
        since = time.time() - max(jail.findtime for jail in jails) - _MARGIN_SECONDS
        with Path(path).open("rb") as file:
            return first_since(file, since, lambda raw: log.scanner.when(raw[:LONGEST_LINE], time.time()))

    def _judge(self, log: Log, block: Block, length: int) -> int:
        """Judge a block whole: what it leads to is published in one go, and with it how far the log was read.
        Returns how much to read the next time, so that nobody else waits for long."""
        service, now = self._service, block.read_at
        if not block.data:
            service.ledger.reached(block.position)
            return length
        begun, before = time.perf_counter(), log.scanner.tally.lines
        if block.live and log.clock is not None:
            last = block.data[block.data.rfind(b"\n", 0, -1) + 1 : -1][:LONGEST_LINE]
            if log.clock.see(log.scanner.decode(last), now):
                log.scanner.at_zone(log.clock.zone)
                self._learnt(log.path, log.clock)
        service.goods.look(log.path, block.data, now)
        events: list[Event | Match] = []
        for told in log.scanner.scan(block.data, now):
            self._act(told, now, events, live=block.live)
        service.publish(events)
        if block.live:
            service.witnesses.hear(events)
        service.ledger.reached(block.position)
        for event in events:
            if isinstance(event, Ban):
                service.metrics.latency.observe(time.time() - now)
        log.last_line = now
        lag = _behind(log.path, block.position)
        service.metrics.read(log.path, log.scanner.tally.lines - before, len(block.data), lag, now)
        took = time.perf_counter() - begun
        if took > _LONGEST_TURN:
            return max(length // 2, LONGEST)
        return min(length * 2, BLOCK) if took < _LONGEST_TURN / 4 else length

    def _act(
        self, told: Match | Refused | Slow, now: Instant, events: list[Event | Match], *, live: bool
    ) -> None:
        """What a line means, added to the events; one that blames a host name is judged when that was looked
        up."""
        service = self._service
        if not isinstance(told, Match):
            events.append(told)
            return
        at = settle(told.at, now, live=live)
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

    def unread(self) -> Iterator[str]:
        """Why the logs do not count as read."""
        if not self.logs:
            yield "no log of any jail is there yet"
        for log in self.logs.values():
            if log.error:
                yield log.error
            elif not log.caught_up:
                yield f"{log.path} is being read from where it stood"


def _last_line(path: str) -> tuple[bytes, Instant] | None:
    """The last whole line of a log and when it was written to; None where there is none."""
    try:
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            file.seek(max(0, status.st_size - LONGEST_LINE))
            lines = file.read(LONGEST_LINE).split(b"\n")
    except OSError:
        return None
    return (lines[-2], status.st_mtime) if len(lines) > 1 and lines[-2] else None


def _behind(path: str, position: Position) -> float:
    """Seconds since the log was written to, if there is more of it than was read; else 0."""
    try:
        status = os.stat(path)
    except OSError:
        return 0.0
    if status.st_ino == position.inode and status.st_size <= position.offset:
        return 0.0
    return max(0.0, time.time() - status.st_mtime)
