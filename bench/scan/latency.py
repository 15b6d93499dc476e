"""The section `latency`: the time from a line in a log to the route in the kernel, with the whole service."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.scan import zimbra
from bench.scan.generate import Log, cached
from bench.service import attacked, memory, processor
from tests.app.running import until

Say = Callable[[str], None]
RATE = 10_000
# An attack in the log in which the samples are written: lines a second, its attackers, and its seconds.
STORM, _STORMING, _STORM_SECONDS = 20_000, 20_000, 60.0
IDLE_LOGS = 10
# Number of times that the backlog is repeated, to get enough samples.
_BACKLOGS = 8
_BACKLOG = (
    "[backlog]\nenabled = true\nfilter = zimbra-smtp\nmaxretry = 2\nfindtime = 1000d\nbantime = -1\n"
    "logpath = {logs}/backlog*.log\n"
)


@dataclass
class Latency:
    """Milliseconds from the write of a line to the kernel's notification of its route, one per attacker."""

    name: str
    samples: list[float] = field(default_factory=list)

    def at(self, share: float) -> float:
        """The quantile `share` of the samples."""
        ordered = sorted(self.samples)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True)
class Idle:
    """An idle service: its share of one core in percent, and its memory."""

    logs: int
    seconds: float
    percent: float
    rss: int


def measure(samples: int, lines: int, seconds: float, say: Say) -> tuple[list[Latency], Idle]:
    """Run all latency measurements. PermissionError if this process may not create namespaces."""
    if os.geteuid():
        raise PermissionError("the section latency needs root: it makes network namespaces")
    found = [_quiet(samples), _busy(samples), _stormy()]
    for one in found:
        say(f"{one.name}: p50 {one.at(0.5):.2f} ms, p99 {one.at(0.99):.2f} ms")
    found.append(_behind(samples, lines, say))
    return found, idle(seconds, say)


def _quiet(samples: int) -> Latency:
    with attacked("") as (_, attacker):
        attacker.sample(0)
        return Latency("nothing else happens", [attacker.sample(0.05) for _ in range(samples)])


@contextmanager
def _pouring(log: Path, *figures: int) -> Iterator[None]:
    """Lines are appended to a log, see bench.scan.pour, from the first one on."""
    size = log.stat().st_size
    pouring = subprocess.Popen([sys.executable, "-m", "bench.scan.pour", str(log), *map(str, figures)])
    try:
        until(lambda: log.stat().st_size > size)
        yield
    finally:
        pouring.kill()
        pouring.wait()


def _busy(samples: int) -> Latency:
    with attacked("") as (running, attacker):
        with _pouring(running.log, RATE):
            attacker.sample(0)
            taken = [attacker.sample(0.05) for _ in range(samples)]
        return Latency(f"another log grows by {RATE:,} lines a second", taken)


def _stormy() -> Latency:
    """As long as the attack lasts, a sample every 50 ms."""
    with attacked("") as (running, attacker):
        attacker.sample(0)
        with _pouring(running.root / "logs" / "fresh.log", STORM, _STORMING):
            end = time.monotonic() + _STORM_SECONDS
            taken = []
            while time.monotonic() < end:
                taken.append(attacker.sample(0.1))
        return Latency(f"{STORM:,} hostile lines a second in the same log", taken)


def _behind(samples: int, lines: int, say: Say) -> Latency:
    """Measure while a long log is read from its beginning, as after a downtime. Only samples that begin before
    the end of the backlog count."""
    backlog = cached(zimbra.QUIET, lines)
    found = Latency(f"a backlog of {backlog.bytes / 1e9:.1f} GB is being read")
    for _ in range(_BACKLOGS):
        taken = _while_reading(backlog, samples - len(found.samples))
        found.samples += taken
        say(f"{found.name}: {len(taken)} samples")
        if len(found.samples) >= samples:
            break
    return found


def _while_reading(backlog: Log, most: int) -> list[float]:
    with attacked(_BACKLOG) as (running, attacker):
        attacker.sample(0)
        place = running.root / "logs" / "backlog.log"
        place.hardlink_to(backlog.path)
        series = f'zmban_lines_total{{source="{place}"}}'

        def read() -> float:
            return running.metric(series)

        until(read)
        taken: list[float] = []
        while len(taken) < most and read() < backlog.lines:
            taken += [attacker.sample(0.01) for _ in range(5)]
        return taken


def idle(seconds: float, say: Say) -> Idle:
    """Measure an idle service."""
    jails = "".join(
        f"[quiet-{n}]\nenabled = true\nfilter = zimbra-smtp\nlogpath = {{logs}}/quiet-{n}.log\n"
        for n in range(IDLE_LOGS - 2)
    )
    with attacked(jails) as (running, attacker):
        for number in range(IDLE_LOGS - 2):
            (running.root / "logs" / f"quiet-{number}.log").touch()
        attacker.sample(0)
        assert running.process is not None
        # Wait until the work of the start is done.
        time.sleep(min(10.0, seconds))
        before, begun = processor(running.process.pid), time.monotonic()
        time.sleep(seconds)
        taken = time.monotonic() - begun
        percent = (processor(running.process.pid) - before) / taken * 100
        found = Idle(IDLE_LOGS, taken, percent, memory(running.process.pid))
    say(f"idle: {found.percent:.2f} % of a core, {found.rss / 2**20:.0f} MiB")
    return found
