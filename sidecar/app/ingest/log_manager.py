"""The logs of a service: found by their globs, followed each by its own task, judged block by block."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from io import FileIO
from typing import TYPE_CHECKING

from sidecar.app.ingest.discovery import Discovery, Named, rotated_of
from sidecar.app.ingest.followed_log import FollowedLog, Prefilters, ReadBefore, last_line, reads
from sidecar.app.ingest.processor import Verdicts
from sidecar.detect.backlog_start import first_since
from sidecar.detect.log_clock import LogClock
from sidecar.detect.match.matcher import LONGEST_LINE
from sidecar.detect.scanner import Scanner
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Ban, Block, Event, Instant, Match, Position, SourceError
from sidecar.sources.files import descriptors
from sidecar.sources.files.disk import Disk
from sidecar.sources.files.file_reader import LONGEST
from sidecar.sources.files.file_watcher import FileWatcher
from sidecar.sources.files.follower import BLOCK, Follower
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


class LogManager:
    """All logs. New files under a glob are found while running; those that are gone are let go."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._wake = FileWatcher()
        self._turns = asyncio.Semaphore(descriptors.turns())
        self._discovery = Discovery(service.jails, self._turns)
        self._prefilters: Prefilters = {}
        self._zones: dict[str, float | None] = {}
        self.logs: dict[str, FollowedLog] = {}
        # New names whose file another log is still reading.
        self._waiting: dict[str, str] = {}
        self.caught_up = asyncio.Event()
        self._backlog = asyncio.Lock()
        self._verdicts = Verdicts(service)

    async def run(self) -> None:
        """Look for logs, and follow each, until cancelled."""
        ledger = self._service.ledger
        self._zones = ledger.database.zones()
        read = ledger.positions()
        self._discovery.remember(read)
        if not read:
            # Who is known to be good must be known before anybody is judged.
            await self._service.goods.read_past(list(await self._discovery.look()))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._wake.run(), name="inotify")
            while True:
                named = await self._discovery.look(self.logs)
                await self._let_go(named)
                await self._begin(tasks, named)
                if all(log.caught_up or log.error for log in self.logs.values()):
                    self.caught_up.set()
                await asyncio.sleep(_LOOK_SECONDS if self.caught_up.is_set() else 0.05)

    async def _begin(self, tasks: asyncio.TaskGroup, named: Mapping[str, Named]) -> None:
        """Follow those that are not yet, each from where it was read to, whatever its name was."""
        new = [path for path in named if path not in self.logs]
        past, self._waiting = ReadBefore(self._service.ledger.positions() if new else {}, rotated_of), {}
        for path in new:
            one = named[path]
            wanted = {jail.name for jail in one.jails}
            known = [p for p in past.elsewhere(path, one.key) if wanted <= self._discovery.readers(p.path)]
            for reader in {position.path for position in known} & self.logs.keys():
                # It still reads this very file, or what now is a rotated one of this log.
                if one.key in self.logs[reader].keys or reader not in named:
                    self._waiting[path] = reader
            if path in self._waiting:
                continue
            scanner = self._scanner(path, one.jails)
            self._service.metrics.follow(path)
            disk = Disk(path, turns=self._turns)
            clock = await self._clock(scanner, disk)
            log = self.logs[path] = FollowedLog(path, disk, scanner, clock, tail=one.tail)
            log.task = tasks.create_task(self._follow(log, past.of(path, known)), name=path)
            await asyncio.sleep(0)

    async def _let_go(self, named: dict[str, Named]) -> None:
        """End the reading of logs that are no more, and strike them out; what was in them is judged. Those
        whose jails are others now are begun anew."""
        now = time.monotonic()
        for path, log in list(self.logs.items()):
            one = named.get(path)
            log.gone = None if one and one.key else log.gone or now
            other = one is None or {jail.name for jail in one.jails} != {*log.scanner.jails}
            if log.task is None or not (log.stopped or log.is_over(now) or (other and log.idle)):
                continue
            log.task.cancel()
            await asyncio.wait([log.task])
            del self.logs[path]
            if one is None or one.key is None:
                named.pop(path, None)
                self._forget(log)

    def _forget(self, log: FollowedLog) -> None:
        path = log.path
        self._discovery.leave(path, log.follower.renamed if log.follower else None)
        self._wake.forget(path)
        self._service.goods.forget(path)
        self._service.metrics.forget(path)
        _log.info("%s is let go: it is gone, or part of another log now", path)

    def renew(self, prefilters: Prefilters, same: Collection[str]) -> None:
        """The jails are others now, `same` those that name the same logs as before: each log is read on for
        those that name it, with its sessions; one that none names any more is let go by the next look."""
        self._prefilters = prefilters
        for log in self.logs.values():
            named = [jail for jail in self._service.jails.values() if reads(jail, log, same)]
            if not named and log.task is not None:
                # What comes from now on is for whoever reads it next.
                log.stopped = log.task.cancel()
                continue
            log.scanner = self._scanner(log.path, named, log.scanner)
            if log.clock is not None:
                log.scanner.at_zone(log.clock.zone)

    def _scanner(self, path: str, jails: list[JailSpec], before: Scanner | None = None) -> Scanner:
        """Logs of the same jails share a prefilter."""
        names = tuple(jail.name for jail in jails)
        shared = self._prefilters.get(names)
        scanner = Scanner(path, jails, self._service.zone, self._service.trust, shared, before)
        self._prefilters[names] = scanner.prefilter
        return scanner

    async def _clock(self, scanner: Scanner, disk: Disk) -> LogClock | None:
        """What is known of the zone of a log; None where its jails tell it."""
        if scanner.datepattern is None:
            return None
        clock = LogClock(self._service.zone, scanner.datepattern, self._zones.get(scanner.path))
        if scanner.path not in self._zones:
            # A log that cannot be read is told by who follows it.
            with contextlib.suppress(OSError, SourceError):
                raw, written = await disk.ask(last_line, scanner.path)
                if raw and clock.guess(scanner.decode(raw), written):
                    self._learnt(scanner.path, clock)
        return clock

    def _learnt(self, path: str, clock: LogClock) -> None:
        self._zones[path] = clock.learnt
        self._service.ledger.add([Zone(path, clock.learnt)])
        _log.info("%s: its dates are read as those of %s", path, clock.zone)

    async def _follow(self, log: FollowedLog, positions: Sequence[Position]) -> None:
        """Follow one log; after an error again, with growing pauses."""
        pause = _RETRY_SECONDS[0]
        log.positions = positions
        while True:
            log.idle = False
            follower = Follower(
                log.path,
                self._wake,
                log.disk,
                log.positions,
                beginning=partial(self._beginning, log),
                oldest=partial(self._oldest, log),
            )
            follower.on_end(log.at_end)
            log.follower = follower
            try:
                # Closed here, and not when somebody finds it left over: it holds files open.
                async with contextlib.aclosing(follower.blocks()) as blocks:
                    async for block in blocks:
                        log.error, pause, log.positions = None, _RETRY_SECONDS[0], follower.positions
                        await self._take(log, block, follower)
            except SourceError as error:
                if log.error is None:
                    _log.warning("%s; trying again", error)
                log.error, log.positions, log.idle = str(error), follower.positions, True
            await self._wake.pause(log.path, pause)
            pause = min(pause * 2, _RETRY_SECONDS[1])

    async def _take(self, log: FollowedLog, block: Block, follower: Follower) -> None:
        """Judge a block, and let others have their turn."""
        log.idle = False
        if block.data:
            log.heard = time.monotonic()
        if block.live:
            follower.length = self._judge(log, block, follower.length)
        else:
            # One backlog at a time, so that a live log never waits for more than one block.
            async with self._backlog:
                follower.length = self._judge(log, block, follower.length)
        await self._service.ledger.room()
        await asyncio.sleep(0)

    def _beginning(self, log: FollowedLog, file: FileIO) -> int:
        """Where to begin in a log that was never read: at its end if all its jails want it so, else where
        the longest of their windows begins."""
        if log.tail:
            return os.fstat(file.fileno()).st_size
        since = self._oldest(log)
        return first_since(file, since, lambda raw: log.scanner.when(raw[:LONGEST_LINE], time.time()))

    def _oldest(self, log: FollowedLog) -> Instant:
        """Before this no line counts any more."""
        jails = self._service.jails
        times = (jails[name].findtime for name in log.scanner.jails if name in jails)
        return time.time() - max(times, default=0.0) - _MARGIN_SECONDS

    def _judge(self, log: FollowedLog, block: Block, length: int) -> int:
        """Judge a block whole: what it leads to is published in one go, and with it how far the log was read.
        Returns how much to read the next time, so that nobody else waits for long."""
        service, now = self._service, block.read_at
        if not block.data:
            for position in (*block.told, block.position):
                service.ledger.reached(position)
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
            self._verdicts.add(told, now, events, live=block.live)
        service.publish(events)
        if block.live:
            service.witnesses.hear(events)
        service.ledger.reached(block.position)
        for event in events:
            if isinstance(event, Ban):
                service.metrics.latency.observe(time.time() - now)
        log.last_line = now
        lag = 0.0 if block.written is None else max(0.0, time.time() - block.written)
        service.metrics.read(log.path, log.scanner.tally.lines - before, len(block.data), lag, now)
        took = time.perf_counter() - begun
        if took > _LONGEST_TURN:
            return max(length // 2, LONGEST)
        return min(length * 2, BLOCK) if took < _LONGEST_TURN / 4 else length

    def doubts(self) -> Iterator[str]:
        """Which rotated files hold lines that are not read, and why."""
        for log in self.logs.values():
            yield from log.follower.unread if log.follower else ()

    def sources(self) -> dict[str, str | None]:
        """Every log that a jail names, and why it is not read; None where it is. A glob that names nothing
        stands for itself."""
        read = {path: log.error for path, log in self.logs.items()}
        others = self._discovery.aliases | self._waiting
        under = {name: read.get(log, f"{name} is not read yet") for name, log in others.items()}
        return self._discovery.missing | under | read

    def unread(self) -> Iterator[str]:
        """Why the logs do not count as read."""
        discovery = self._discovery
        yield from discovery.trouble.values()
        if not self.logs:
            yield "no log of any jail is there yet"
        yield from (why for path, why in discovery.gone() if path not in self.logs)
        for path, log in self.logs.items():
            if log.error and (log.gone is None or path in discovery.patterns):
                yield log.error
            elif not log.caught_up and not log.error:
                yield f"{log.path} is being read from where it stood"
