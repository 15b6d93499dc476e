"""All jails over their logs from first to last line, by the logs' own clock: no kernel, no state, no host."""

from __future__ import annotations

import glob
import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from itertools import chain, islice
from typing import Any, TypeAlias

from sidecar.app.ingest.followed_log import by_file
from sidecar.bans.guard import Guard
from sidecar.bans.table import BanTable
from sidecar.decide import known_good
from sidecar.decide.engine import DecisionEngine
from sidecar.decide.suspected_proxies import SuspectedProxies
from sidecar.detect import grammar
from sidecar.detect.count.evidence import Evidence
from sidecar.detect.grammar.login_lines import RELAYING
from sidecar.detect.prefilter.prefilter import Sifted
from sidecar.detect.scanner import Scanner, Tally
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Ban, Extended, Failure, FailuresCleared, Instant, Match, Refused, Slow, Unban
from sidecar.network import Network
from sidecar.offline import parallel_scan
from sidecar.settings import GoodSettings
from sidecar.sources.log_copies import last_written, without_copies

_AT_ONCE = 1000

Decision: TypeAlias = Ban | Extended | Unban | Refused
Told = tuple[Instant, Match | Refused]


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
        self._table = BanTable()
        self._judge = DecisionEngine(jails.values(), guard, self._table, None, Evidence.on_disk(), good)
        suspects.on_found(lambda _network, _new: self._judge.spare(guard, suspects.networks()))
        self._counts = Counter(matches=0, failures=0, bans=0, refused=0)
        self._tallies: list[Tally] = []
        self._seconds = 0.0
        # How often which regex of which jail worked too long on a line.
        self.slow: Counter[tuple[str, str]] = Counter()

    def on_progress(self, advance: Callable[[int], None]) -> None:
        """Call `advance` with the size of each block that was read."""
        self._progress = advance

    def logs(self, given: Mapping[str, Sequence[str]]) -> dict[str, list[JailSpec]]:
        """Which file is read for which jails: the paths given for a jail, else its own logpath."""
        jails = self._jails.values()
        own = by_file(
            (path, jail)
            for jail in jails
            if jail.name not in given
            for log in jail.logpath
            for path in sorted(glob.glob(log.glob))
        )
        own = without_copies(own, last_written(own))
        asked = [(path, jail) for jail in jails for path in given.get(jail.name, ())]
        return by_file([*((path, jail) for path, readers in own.items() for jail in readers), *asked])

    def events(self, by_path: Mapping[str, Sequence[JailSpec]]) -> Iterator[Decision]:
        """Every decision in order of time. Failures are counted and not told."""
        begun = time.perf_counter()
        self._learn(by_path)
        scanners = {path: Scanner(path, jails, self._zone, self._trust) for path, jails in by_path.items()}
        self._tallies = [scanner.tally for scanner in scanners.values()]
        count = parallel_scan.processes(scanners)
        streams = [
            self._told(scanner, parallel_scan.prefiltered(path, scanner.prefilter, count))
            for path, scanner in scanners.items()
        ]
        # Step by step, a part at a time: a processor that does one thing after the other does each faster.
        for told in streams[0] if len(streams) == 1 else _merged(streams):
            yield from self._decide(told)
        self._seconds = time.perf_counter() - begun

    def _learn(self, paths: Iterable[str]) -> None:
        """Who logged in or delivered mail, before anything is decided, as in a service without a state."""
        reading = known_good.NoteReader(self._zone, self._trust)
        for path in paths:
            if grammar.of_log(path) in RELAYING:
                for data in known_good.samples(path):
                    for note in reading.of(path, data, self._now, everything=True):
                        self.suspects.login(note)
                        known_good.take(self._judge, note)

    def _told(self, scanner: Scanner, log: Iterator[Sifted]) -> Iterator[list[Told]]:
        latest = 0.0
        for sifted in log:
            found: list[Told] = []
            for told in scanner.match(sifted, self._now):
                if isinstance(told, Slow):
                    self.slow[told.jail, told.regex] += 1
                    continue
                # A merge needs order; a late line is told in its place, and counts at its own time.
                if told.at is not None and told.at > latest:
                    latest = told.at
                found.append((latest, told))
            yield found
            self._progress(sifted.bytes)

    def _decide(self, told: Iterable[Told]) -> list[Decision]:
        judge, expire = self._judge.judge, self._table.expire
        decided: list[Decision] = []
        matches = failures = 0
        for clock, one in told:
            decided += expire(clock)
            if isinstance(one, Refused):
                decided.append(one._replace(at=one.at or clock))
                self.suspects.hear((one,))
                continue
            matches += 1
            at = one.at or clock
            events = judge(one, at, at)
            self.suspects.hear(events)
            for event in events:
                if isinstance(event, Failure):
                    failures += 1
                elif not isinstance(event, FailuresCleared | Slow):
                    decided.append(event)
        kinds = Counter(map(type, decided))
        self._counts.update(matches=matches, failures=failures, bans=kinds[Ban], refused=kinds[Refused])
        return decided

    def summary(self) -> dict[str, Any]:
        """The figures of the run, and the suspected proxies, each with the cure; `seconds` is scanning only,
        without reading the configuration."""
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
    """Logs that each run by their own clock, as one stream in order of time."""
    merged = heapq.merge(*map(chain.from_iterable, streams), key=_clock)
    while told := list(islice(merged, _AT_ONCE)):
        yield told


def _clock(told: Told) -> Instant:
    return told[0]


def record(event: Decision) -> dict[str, Any]:
    """An event as the object that contract.md names for `replay --jsonl`."""
    match event:
        case Ban() | Extended(ban=Ban()):
            ban = event if isinstance(event, Ban) else event.ban
            return {
                "event": "ban" if isinstance(event, Ban) else "extend",
                "at": ban.at,
                "network": str(ban.network),
                "jail": ban.jail,
                "until": ban.until,
                "failures": ban.failures,
                "evidence": list(ban.evidence),
                **({"dry": True} if ban.dry else {}),
            }
        case Unban():
            return {"event": "unban", "at": event.at, "network": str(event.network), "jail": event.jail} | {
                "reason": event.reason
            }
        case Refused():
            return {
                "event": "refused",
                "at": event.at,
                "network": _network(event.host),
                "jail": event.jail,
                "reason": event.reason,
                "client": event.client,
                "evidence": [event.line],
            }


def _network(host: str) -> str | None:
    try:
        return str(Network.parse(host))
    except ValueError:
        return host or None
