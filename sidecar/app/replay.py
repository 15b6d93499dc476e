"""All jails over their logs from first to last line, by the logs' own clock: no kernel, no state, no host."""

from __future__ import annotations

import glob
import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any, TypeAlias

from sidecar.app.judge import Judge
from sidecar.app.place import evidence_file
from sidecar.app.readers import by_file
from sidecar.bans.guard import Guard
from sidecar.bans.table import BanTable
from sidecar.detect.evidence import Evidence
from sidecar.detect.grammar import Trust
from sidecar.detect.scanner import Scanner, Tally
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import (
    Ban,
    Event,
    Extended,
    Failure,
    Instant,
    Match,
    Network,
    Refused,
    Slow,
    SourceError,
    Spent,
    Unban,
)

# Small enough for a processor's own cache: what was read is still there when it is scanned.
_BLOCK = 1 << 18
_LONGEST = 1 << 20

Decision: TypeAlias = Ban | Extended | Unban | Refused
Told = tuple[Instant, Match | Refused]


def blocks(path: str) -> Iterator[bytes]:
    """A file in blocks of whole lines; the last line is completed by a newline if it has none, and one that
    is too long for any memory is cut."""
    try:
        with Path(path).open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                raise SourceError(f"{path} is packed; zcat it into a file first")
            file.seek(0)
            while data := file.read(_BLOCK):
                if not data.endswith(b"\n"):
                    data += file.readline(_LONGEST)
                if not data.endswith(b"\n"):
                    data += b"\n"
                    while (more := file.readline(_LONGEST)) and not more.endswith(b"\n"):
                        pass
                yield data
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error


class Replay:
    """One run; iterate `events()` once, then read `summary()`."""

    def __init__(
        self,
        jails: Mapping[str, JailSpec],
        guard: Guard,
        trust: Trust,
        zone: tzinfo,
        now: Instant,
    ) -> None:
        self._jails, self._zone, self._now = jails, zone, now
        self._trust = trust
        self._progress: Callable[[int], None] = lambda _: None
        self._table = BanTable()
        self._judge = Judge(jails.values(), guard, self._table, None, Evidence(*evidence_file()))
        self._counts = dict.fromkeys(("matches", "failures", "bans", "refused"), 0)
        self._tallies: list[Tally] = []
        self._seconds = 0.0
        # How often which regex of which jail worked too long on a line.
        self.slow: Counter[tuple[str, str]] = Counter()

    def on_progress(self, advance: Callable[[int], None]) -> None:
        """Call `advance` with the size of each block that was read."""
        self._progress = advance

    def logs(self, given: Mapping[str, Sequence[str]]) -> dict[str, list[JailSpec]]:
        """Which file is read for which jails: the paths given for a jail, else its own logpath."""
        return by_file(
            (path, jail)
            for jail in self._jails.values()
            for path in given.get(jail.name)
            or [p for log in jail.logpath for p in sorted(glob.glob(log.glob))]
        )

    def events(self, by_path: Mapping[str, Sequence[JailSpec]]) -> Iterator[Decision]:
        """Every decision in order of time. Failures are counted and not told."""
        begun = time.perf_counter()
        # Each log runs by its own clock; merged, they are one stream in order of time.
        streams = (self._told(path, jails) for path, jails in by_path.items())
        judge, expire, counts = self._judge.judge, self._table.expire, self._counts
        for clock, told in heapq.merge(*streams, key=_clock) if len(by_path) > 1 else next(iter(streams), ()):
            if ended := expire(clock):
                yield from self._tell(ended)
            if isinstance(told, Refused):
                yield from self._tell([told._replace(at=told.at or clock)])
                continue
            counts["matches"] += 1
            at = told.at or clock
            judged = judge(told, at, at)
            if len(judged) == 1 and isinstance(judged[0], Failure):
                counts["failures"] += 1
            elif judged:
                yield from self._tell(judged)
        self._seconds = time.perf_counter() - begun

    def _told(self, path: str, jails: Sequence[JailSpec]) -> Iterator[Told]:
        scanner = Scanner(path, jails, self._zone, self._trust)
        self._tallies.append(scanner.tally)
        latest = 0.0
        for data in blocks(path):
            for told in scanner.scan(data, self._now):
                if isinstance(told, Slow):
                    self.slow[told.jail, told.regex] += 1
                    continue
                # A merge needs order; a late line is told in its place, and counts at its own time.
                if told.at is not None and told.at > latest:
                    latest = told.at
                yield latest, told
            self._progress(len(data))

    def _tell(self, events: Iterable[Event]) -> Iterator[Decision]:
        for event in events:
            if isinstance(event, Failure | Spent | Slow):
                self._counts["failures"] += isinstance(event, Failure)
                continue
            self._counts["bans"] += isinstance(event, Ban)
            self._counts["refused"] += isinstance(event, Refused)
            yield event

    def summary(self) -> dict[str, int | float]:
        """The figures of the run; `seconds` is scanning only, without reading the configuration."""
        lines = sum(t.lines for t in self._tallies)
        return {
            "lines": lines,
            "bytes": sum(t.bytes for t in self._tallies),
            **self._counts,
            "seconds": round(self._seconds, 6),
            "lines_per_second": round(lines / self._seconds) if self._seconds else 0,
        }


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
