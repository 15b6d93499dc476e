"""Runs all jails over their logs with the time of the log lines, without kernel, database and host facts."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
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
from sidecar.detect.scanner import Scanner, Tally
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Ban, Batch, Event, Failure, FailuresCleared, Instant, Match, Refused, Slow
from sidecar.network import Network
from sidecar.offline import parallel_scan
from sidecar.records import Decision
from sidecar.settings import GoodSettings
from sidecar.sources.kinds import files_of, log_name
from sidecar.sources.log_copies import last_written, without_copies
from sidecar.sources.log_names import by_file
from sidecar.sources.sampling import samples

_AT_ONCE = 1000
# In place of a random part of a ban time: a replay gives the same result each time.
_CHANCE = 0.5

Told = tuple[Instant, Match | Refused]
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
        self._tallies: list[Tally] = []
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
        read: Read = parallel_scan.prefiltered,
        name: Callable[[str], str | None] = log_name,
    ) -> Iterator[Decision]:
        """All decisions in order of time. Failures are only counted. `read` returns the candidate lines of a
        log, `name` the log whose grammar it has."""
        begun = time.perf_counter()
        self._learn(by_path, name)
        scanners = {
            path: Scanner(path, jails, self._zone, self._trust, log=name(path) or "")
            for path, jails in by_path.items()
        }
        self._tallies = [scanner.tally for scanner in scanners.values()]
        count = parallel_scan.processes(scanners)
        streams = [
            self._told(scanner, read(path, scanner.prefilter, count)) for path, scanner in scanners.items()
        ]
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

    def _told(self, scanner: Scanner, log: Iterator[Sifted]) -> Iterator[list[Told]]:
        latest = 0.0
        for sifted in log:
            found: list[Told] = []
            for told in scanner.match(sifted, self._now):
                if isinstance(told, Slow):
                    self.slow[told.jail, told.regex] += 1
                    continue
                # The merge needs sorted times: a late line is merged where it occurs, but counts at its own
                # time.
                if told.at is not None and told.at > latest:
                    latest = told.at
                found.append((latest, told))
            yield found
            self._progress(sifted.bytes)

    def _decide(self, told: Iterable[Told]) -> list[Decision]:
        decide, expire = self._engine.decide, self._engine.expire
        decided: list[Decision] = []
        matches = failures = 0
        for clock, one in told:
            decided += expire(clock)
            if isinstance(one, Refused):
                decided.append(one._replace(at=one.at or clock))
                self.suspects.handle(Batch((one,)))
                if self._watch is not None:
                    self._watch(decided[-1:])
                continue
            matches += 1
            at = one.at or clock
            events = decide(one, at, at)
            self.suspects.handle(Batch(events))
            if self._watch is not None:
                self._watch((one, *events))
            for event in events:
                if isinstance(event, Failure):
                    failures += 1
                elif not isinstance(event, FailuresCleared | Slow):
                    decided.append(event)
        kinds = Counter(map(type, decided))
        self._counts.update(matches=matches, failures=failures, bans=kinds[Ban], refused=kinds[Refused])
        return decided

    def summary(self) -> dict[str, Any]:
        """The figures of the run, and the suspected proxies with their cures. `seconds` is the time of
        scanning, without loading the configuration."""
        lines = sum(t.lines for t in self._tallies)
        return {
            "lines": lines,
            "bytes": sum(t.bytes for t in self._tallies),
            **self._counts,
            "seconds": round(self._seconds, 6),
            "lines_per_second": round(lines / self._seconds) if self._seconds else 0,
            "suspected_proxies": self.suspects.told(),
        }


def _merged(streams: Iterable[Iterator[list[Told]]]) -> Iterator[list[Told]]:
    """Merge several logs into one stream in order of time."""
    merged = heapq.merge(*map(chain.from_iterable, streams), key=_clock)
    while told := list(islice(merged, _AT_ONCE)):
        yield told


def _clock(told: Told) -> Instant:
    return told[0]
