"""Follows the logs of the jails, each in its own task, and stops when a log is gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from io import FileIO

from sidecar.app.active import ActiveConfiguration
from sidecar.app.ingest.discovery import Discovery, Named, rotated_of
from sidecar.app.ingest.followed_log import FollowedLog, Prefilters, reads
from sidecar.app.ingest.known_good_reader import KnownGoodReader
from sidecar.app.ingest.log_zones import LogZones
from sidecar.app.ingest.processor import Processor
from sidecar.app.ingest.read_before import ReadBefore
from sidecar.app.periodic import Periodic
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.detect.backlog_start import first_since
from sidecar.detect.grammar import Trust
from sidecar.detect.match.matcher import LONGEST_LINE
from sidecar.detect.scanner import Scanner
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Block, Instant, Position, Seconds, SourceError
from sidecar.serve.metrics import Metrics
from sidecar.sources.files import descriptors
from sidecar.sources.files.disk import Disk
from sidecar.sources.files.file_watcher import FileWatcher
from sidecar.sources.files.follower import BLOCK
from sidecar.sources.kinds import LogSource, Opening, kind_of, label, log_name
from sidecar.sources.lines.line_format import LONGEST

_log = logging.getLogger("zmban.sources")
# How often globs are looked up, and how often until every backlog is read.
_LOOK_SECONDS, _LOOK_AT_START_SECONDS = 2.0, 0.05
_RETRY_SECONDS = (1.0, 30.0)
# If a block takes longer, the next one is shorter, so that other logs do not wait.
_LONGEST_TURN = 0.005
# Tolerance for lines that are not in order of time.
_MARGIN_SECONDS = 60.0


class LogManager:
    """All followed logs. `caught_up` is set when every backlog is read."""

    def __init__(
        self,
        active: ActiveConfiguration,
        trust: Trust,
        processor: Processor,
        zones: LogZones,
        known_good: KnownGoodReader,
        commit_queue: CommitQueue,
        metrics: Metrics,
        periodic: Periodic,
    ) -> None:
        self._active, self._trust = active, trust
        self._processor, self._zones, self._known_good = processor, zones, known_good
        self._commit_queue, self._metrics, self._periodic = commit_queue, metrics, periodic
        self._watcher = FileWatcher()
        self._turns = asyncio.Semaphore(descriptors.turns())
        self._discovery = Discovery(active.jails, self._turns)
        self._prefilters: Prefilters = {}
        self.logs: dict[str, FollowedLog] = {}
        # New names whose file is still being read as another log.
        self._waiting: dict[str, str] = {}
        self.caught_up = asyncio.Event()
        self._backlog = asyncio.Lock()

    async def run(self) -> None:
        """Find and follow logs until cancelled."""
        read = self._commit_queue.positions()
        self._discovery.remember(read)
        if not read:
            # Known-good clients must be known before anything is decided.
            found = await self._discovery.look()
            await self._known_good.read_past(
                [(path, _grammar_name(path, one)) for path, one in found.items()]
            )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watcher.run(), name="inotify")
            look = partial(self._look, tasks)
            await self._periodic.repeat(_LOOK_SECONDS, "discovery", look, at_once=True)

    async def _look(self, tasks: asyncio.TaskGroup) -> Seconds | None:
        """Start following new logs, and stop following those that are gone. Returns the pause until the next
        lookup."""
        named = await self._discovery.look(self.logs)
        await self._let_go(named)
        await self._begin(tasks, named)
        if all(log.caught_up or log.error for log in self.logs.values()):
            self.caught_up.set()
        return None if self.caught_up.is_set() else _LOOK_AT_START_SECONDS

    async def _begin(self, tasks: asyncio.TaskGroup, named: Mapping[str, Named]) -> None:
        """Start following new logs, each from its last position, which may have been read under another
        name."""
        new = [path for path in named if path not in self.logs]
        past, self._waiting = ReadBefore(self._commit_queue.positions() if new else {}, rotated_of), {}
        for path in new:
            one = named[path]
            wanted = {jail.name for jail in one.jails}
            known = [p for p in past.elsewhere(path, one.key) if wanted <= self._discovery.readers(p.path)]
            for reader in {position.path for position in known} & self.logs.keys():
                # The other log still reads this file, or what is now a rotated file of this log.
                if one.key in self.logs[reader].keys or reader not in named:
                    self._waiting[path] = reader
            if path in self._waiting:
                continue
            scanner = self._scanner(path, one.jails)
            self._metrics.add_source(label(path))
            disk = Disk(path, turns=self._turns)
            clock = await self._zones.clock(scanner, disk)
            log = self.logs[path] = FollowedLog(path, disk, scanner, clock, tail=one.tail)
            log.task = tasks.create_task(self._follow(log, past.of(path, known)), name=path)
            await asyncio.sleep(0)

    async def _let_go(self, named: dict[str, Named]) -> None:
        """Stop following logs that are gone, once their lines are processed. Logs with changed jails are
        started again."""
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
        self._discovery.leave(path, log.source.renamed if log.source else None)
        self._watcher.forget(path)
        self._known_good.forget(path)
        if label(path) not in map(label, self.logs):
            # A container that was started again has two logs with one label for a while.
            self._metrics.remove_source(label(path))
        _log.info("%s: no longer followed: it is gone, or part of another log", path)

    def renew(self, prefilters: Prefilters, same: Collection[str]) -> None:
        """Switch to changed jails; `same` are those with an unchanged logpath. Reading continues, with
        sessions. A log that no jail names is dropped at the next lookup."""
        self._prefilters = prefilters
        for log in self.logs.values():
            named = [jail for jail in self._active.jails.values() if reads(jail, log, same)]
            if not named and log.task is not None:
                # Later lines are read by the next task.
                log.stopped = log.task.cancel()
                continue
            log.scanner = self._scanner(log.path, named, log.scanner)
            if log.clock is not None:
                log.scanner.at_zone(log.clock.zone)

    def _scanner(self, path: str, jails: list[JailSpec], before: Scanner | None = None) -> Scanner:
        """Create a scanner. Logs of the same jails share a prefilter."""
        names = tuple(jail.name for jail in jails)
        shared, name = self._prefilters.get(names), log_name(path)
        scanner = Scanner(path, jails, self._active.zone, self._trust, shared, before, name)
        self._prefilters[names] = scanner.prefilter
        return scanner

    def _open(self, log: FollowedLog) -> LogSource:
        begin, oldest = partial(self._beginning, log), partial(self._oldest, log)
        opening = Opening(log.path, self._watcher, log.disk, log.positions, begin, oldest)
        source = kind_of(log.path).open(opening)
        source.on_end(log.at_end)
        return source

    async def _follow(self, log: FollowedLog, positions: Sequence[Position]) -> None:
        """Follow one log. After an error it is retried, with growing pauses."""
        pause = _RETRY_SECONDS[0]
        log.positions = positions
        while True:
            log.idle = False
            log.source = source = self._open(log)
            try:
                # Closed here and not by the garbage collector, because it holds files open.
                async with contextlib.aclosing(source.blocks()) as blocks:
                    async for block in blocks:
                        log.positions = source.positions
                        # A block without lines comes before the first read, which may fail again.
                        if block.data:
                            log.error, pause = None, _RETRY_SECONDS[0]
                        await self._take(log, block, source)
            except SourceError as error:
                self._metrics.read_errors.labels(label(log.path)).inc()
                if log.error is None:
                    _log.warning("%s; retrying", error)
                log.error, log.positions, log.idle = str(error), source.positions, True
            await self._watcher.pause(log.path, pause)
            pause = min(pause * 2, _RETRY_SECONDS[1])

    async def _take(self, log: FollowedLog, block: Block, source: LogSource) -> None:
        """Process a block, and let other tasks run."""
        log.idle = False
        if block.data:
            log.heard = time.monotonic()
        if block.live:
            source.length = self._process(log, block, source.length)
        else:
            # One backlog at a time, so that a live log never waits for more than one block.
            async with self._backlog:
                source.length = self._process(log, block, source.length)
        await self._commit_queue.room()
        await asyncio.sleep(0)

    def _process(self, log: FollowedLog, block: Block, length: int) -> int:
        """Process a block and note its positions. Returns the length of the next read."""
        begun, before = time.perf_counter(), log.scanner.tally.lines
        if block.data:
            self._processor.process(log, block)
        for position in (*block.told, block.position):
            self._commit_queue.reached(position)
        if not block.data:
            return length
        log.last_line = now = block.read_at
        lag = 0.0 if block.written is None else log.behind(block.data, block.written, time.time())
        self._metrics.read(label(log.path), log.scanner.tally.lines - before, len(block.data), lag, now)
        took = time.perf_counter() - begun
        if took > _LONGEST_TURN:
            return max(length // 2, LONGEST)
        return min(length * 2, BLOCK) if took < _LONGEST_TURN / 4 else length

    def _beginning(self, log: FollowedLog, file: FileIO) -> int:
        """The start offset in a log that was never read: its end if all its jails want that, otherwise where
        the longest of their windows begins."""
        if log.tail:
            return os.fstat(file.fileno()).st_size
        since, line = self._oldest(log), kind_of(log.path).line
        return first_since(file, since, lambda raw: log.scanner.when(line(raw)[:LONGEST_LINE], time.time()))

    def _oldest(self, log: FollowedLog) -> Instant:
        """The time before which no line counts any more."""
        jails = self._active.jails
        times = (jails[name].findtime for name in log.scanner.jails if name in jails)
        return time.time() - max(times, default=0.0) - _MARGIN_SECONDS

    def names(self) -> set[str]:
        """The logs that are read, all other names for them, and those in `logpath` without a file."""
        return {*self.logs, *self._discovery.aliases, *self._waiting, *self._discovery.patterns}

    def unread_files(self) -> Iterator[str]:
        """Rotated files with unread lines, and why they are not read."""
        for log in self.logs.values():
            yield from log.source.unread if log.source else ()

    def sources(self) -> dict[str, str | None]:
        """All logs that jails name, each with the reason why it is not read, or None. A glob that matches
        nothing is listed itself."""
        read = {path: log.error for path, log in self.logs.items()}
        others = self._discovery.aliases | self._waiting
        under = {name: read.get(log, f"{name} is not read yet") for name, log in others.items()}
        return self._discovery.missing | under | read

    def sources_by_label(self) -> dict[str, str | None]:
        """As `sources`, by what metrics call each: the reason of one where several have one label."""
        found: dict[str, str | None] = {}
        for name, why in self.sources().items():
            found[label(name)] = found.get(label(name)) or why
        return found

    def not_ready(self) -> Iterator[str]:
        """Why the logs are not ready."""
        discovery = self._discovery
        yield from discovery.trouble.values()
        if not self.logs:
            yield "no log of any jail exists yet"
        yield from (why for path, why in discovery.gone() if path not in self.logs)
        for path, log in self.logs.items():
            if log.error and (log.gone is None or path in discovery.patterns):
                yield log.error
            elif not log.caught_up and not log.error:
                yield f"{log.path}: its backlog is being read"


def _grammar_name(path: str, named: Named) -> str:
    return next((jail.log for jail in named.jails if jail.log), log_name(path))
