"""Runs all jails over their logs with the time of the log lines, without kernel, database and host facts."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from functools import partial
from itertools import chain, islice
from typing import Any

from sidecar.bans.guard import Guard
from sidecar.bans.history import History
from sidecar.bans.register import BanRegister
from sidecar.configuration import loading
from sidecar.configuration.loading import Loaded
from sidecar.decide.engine import DecisionEngine
from sidecar.decide.suspected_proxies import SuspectedProxies
from sidecar.detect import grammar
from sidecar.detect.count.evidence import Evidence
from sidecar.detect.login_notes import NoteReader
from sidecar.detect.prefilter.prefilter import Prefilter, Sifted
from sidecar.detect.scanner import Scanner
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Ban, Event, Failure, FailuresCleared, Instant, Match, Refused, Slow
from sidecar.network import Network
from sidecar.offline.scan import parallel_scan
from sidecar.offline.scan.log_matching import Matched, Told, matched, matched_apart
from sidecar.records import Decision
from sidecar.settings import GoodSettings
from sidecar.sources.kinds import files_of, log_name
from sidecar.sources.log_copies import last_written, without_copies
from sidecar.sources.log_names import by_file
from sidecar.sources.sampling import samples

_AT_ONCE = 1000
# In place of a random part of a ban time: a replay gives the same result each time.
_CHANCE = 0.5

# See `parallel_scan.prefiltered`.
Read = Callable[[str, Prefilter, int], Iterator[Sifted]]


class Replay:
    """One run; iterate `events()` once, then read `summary()`."""

    def __init__(
        self,
        jails: Mapping[str, JailSpec],
        guard: Guard,
        suspects: SuspectedProxies,
        zone: tzinfo,
        now: Instant,
        good: GoodSettings = GoodSettings(),  # noqa: B008 - frozen
    ) -> None:
        self._jails, self._zone, self._now = jails, zone, now
        self.suspects, self._trust = suspects, suspects.trust
        self._progress: Callable[[int], None] = lambda _: None
        self._watch: Callable[[Sequence[Event | Match]], None] | None = None
        self._guard, self._register = guard, BanRegister()
        evidence = Evidence.on_disk()
        self._engine = DecisionEngine(
            jails.values(), guard, self._register, None, evidence, good, lambda: _CHANCE
        )
        if self._engine.grows:
            self._register.count_earlier(History())
        suspects.on_found(lambda _network, _new: self._engine.spare(guard, suspects.networks()))
        self._counts = Counter(matches=0, failures=0, bans=0, refused=0)
        self._lines = self._bytes = 0
        self._clock: Instant = 0.0
        self._seconds = 0.0
        # Number of aborted searches by jail and regex.
        self.slow: Counter[tuple[str, str]] = Counter()

    @classmethod
    def of(cls, loaded: Loaded, zone: tzinfo, now: Instant) -> Replay:
        """The replay of a loaded configuration."""
        settings, kernel = loaded.settings, loaded.settings.kernel
        guard = Guard(loading.protected(settings), {4: kernel.widest_ipv4, 6: kernel.widest_ipv6})
        suspects = SuspectedProxies(loading.trust(settings), settings.trust)
        return cls(loaded.jails.jails, guard, suspects, zone, now, settings.good)

    def on_progress(self, advance: Callable[[int], None]) -> None:
        """Set the function to call with the size of each block that was read."""
        self._progress = advance

    def on_events(self, watch: Callable[[Sequence[Event | Match]], None]) -> None:
        """Set the function to call with each match and the events that follow from it."""
        self._watch = watch

    def accounts(self, network: Network) -> int:
        """How many accounts logged in from a network lately."""
        return self._engine.known_good.clients.accounts(network.unit(), self._now)

    def logs(self, given: Mapping[str, Sequence[str]]) -> dict[str, list[JailSpec]]:
        """The files to read and their jails: the paths given for a jail, otherwise its logpath."""
        jails = self._jails.values()
        own = by_file(
            (path, jail)
            for jail in jails
            if jail.name not in given
            for log in jail.logpath
            for path in files_of(log.glob)
        )
        own = without_copies(own, last_written(own))
        asked = [(path, jail) for jail in jails for path in given.get(jail.name, ())]
        return by_file([*((path, jail) for path, readers in own.items() for jail in readers), *asked])

    def events(
        self,
        by_path: Mapping[str, Sequence[JailSpec]],
        read: Read | None = None,
        name: Callable[[str], str | None] = log_name,
    ) -> Iterator[Decision]:
        """All decisions in order of time. Failures are only counted. `read` returns the candidate lines of a
        log in this process, None reads and matches it; `name` returns the log whose grammar it has."""
        begun = time.perf_counter()
        self._learn(by_path, name)
        scanners = {
            path: Scanner(path, jails, self._zone, self._trust, log=name(path) or "")
            for path, jails in by_path.items()
        }
        count = parallel_scan.processes(scanners)
        streams = [self._told(self._matched(scanner, read, count)) for scanner in scanners.values()]
        # One step at a time for a whole part, which is faster than all steps for each line.
        for told in streams[0] if len(streams) == 1 else _merged(streams):
            yield from self._decide(told)
        self._seconds = time.perf_counter() - begun

    def _learn(self, by_path: Mapping[str, Sequence[JailSpec]], named: Callable[[str], str | None]) -> None:
        """Read known-good clients and mail servers before anything is decided, like a service without a
        database."""
        reader = NoteReader(self._zone, self._trust)
        for path, jails in by_path.items():
            name = next((jail.log for jail in jails if jail.log), named(path) or "")
            if grammar.may_relay(name):
                for data in samples(path):
                    for note in reader.of(path, data, self._now, name, everything=True):
                        self.suspects.login(note)
                        self._engine.known_good.take(note, self._guard)

    def _matched(self, scanner: Scanner, read: Read | None, count: int) -> Iterator[Matched]:
        path, prefilter = scanner.path, scanner.prefilter
        if read is not None or not parallel_scan.is_apart(path, count):
            sifted = (read or parallel_scan.prefiltered)(path, prefilter, count)
            return matched(scanner, sifted, self._now)
        started = partial(parallel_scan.started, path, prefilter, count)
        return matched_apart(scanner, started, self._now)

    def _told(self, log: Iterator[Matched]) -> Iterator[list[Told]]:
        for found in log:
            self.slow.update(found.slow)
            self._lines += found.lines
            self._bytes += found.bytes
            yield found.told
            self._progress(found.bytes)

    def _decide(self, told: Iterable[Told]) -> list[Decision]:
        decide, expire = self._engine.decide, self._engine.expire
        decided: list[Decision] = []
        matches = failures = 0
        for clock, one in told:
            if clock != self._clock:
                self._clock = clock
                decided += expire(clock)
            if isinstance(one, Refused):
                decided.append(one._replace(at=one.at or clock))
                self.suspects.see(one)
                if self._watch is not None:
                    self._watch(decided[-1:])
                continue
            matches += 1
            at = one.at or clock
            events = decide(one, at, at)
            if self._watch is not None:
                self._watch((one, *events))
            for event in events:
                if isinstance(event, Failure):
                    failures += 1
                elif not isinstance(event, FailuresCleared | Slow):
                    decided.append(event)
                    if isinstance(event, Refused):
                        self.suspects.see(event)
        kinds = Counter(map(type, decided))
        self._counts.update(matches=matches, failures=failures, bans=kinds[Ban], refused=kinds[Refused])
        return decided

    def summary(self) -> dict[str, Any]:
        """The figures of the run, and the suspected proxies with their cures. `seconds` is the time of
        scanning, without loading the configuration."""
        return {
            "lines": self._lines,
            "bytes": self._bytes,
            **self._counts,
            "seconds": round(self._seconds, 6),
            "lines_per_second": round(self._lines / self._seconds) if self._seconds else 0,
            "suspected_proxies": self.suspects.told(),
        }


def _merged(streams: Iterable[Iterator[list[Told]]]) -> Iterator[list[Told]]:
    """Merge several logs into one stream in order of time."""
    merged = heapq.merge(*map(chain.from_iterable, streams), key=_clock)
    while told := list(islice(merged, _AT_ONCE)):
        yield told


def _clock(told: Told) -> Instant:
    return told[0]
