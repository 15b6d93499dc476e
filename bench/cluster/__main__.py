"""The benchmark of several hosts: `make bench-cluster`, or `python -m bench.cluster --help`."""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import page
from bench.cluster import failures, hosts, many
from bench.page import Goal, Table, goals_table
from bench.scan.places import ROOT

_INTRODUCTION = """
`make bench-cluster` writes this part: real hosts in network namespaces, each with its own kernel tables, and
one redis-server; everything shares the machine. *Ban*: from a line in the log of one host to the blackhole
route of another, as `ip monitor` tells it. *Join*: from the start of a host that knows nothing, until all
bans of the group are routes. *Failures*: SharedWindows of 30 hosts in two processes, at a rate that they try
to hold; each failure is signed. *Read*: hostile lines that are written at once, by a host alone and by one of
a group of three.
"""


class Found:
    """The figures."""

    def __init__(self, root: Path, bans: int, some: int, seconds: float) -> None:
        self.bans = bans
        old = hosts.strangers()
        with contextlib.closing(hosts.group_of(root / "group", "mx1", "mx2", "mx3")) as group:
            hosts.started(group, old)
            self.latencies = hosts.latencies(group.hosts["mx1"], group.hosts["mx2"], some)
            self.together = hosts.read(group.hosts["mx3"], 100 * some)
            self.bytes = hosts.fill(group, old, bans)
            for host in group.hosts.values():
                host.stop()
            self.join = hosts.joined(group, "mx9", old, bans)
            self.memory = group.hosts["mx9"].metric("process_resident_memory_bytes")
            group.hosts["mx9"].stop()
            group.redis.cli("FLUSHALL")
            with group.switch.inside():
                before, begun = group.redis.cpu(), time.monotonic()
                self.rate, self.trips = failures.counted("127.0.0.1", 30, 10_000, seconds, 2)
                self.server = (group.redis.cpu() - before) / (time.monotonic() - begun)
                group.redis.cli("FLUSHALL")
                before = group.redis.cpu()
                self.number = some
                self.many = many.measured(root / "many", 6379, 300, 2, some)
                self.delivery = (group.redis.cpu() - before) / (300 * some)
        with contextlib.closing(hosts.group_of(root / "alone", "mx1")) as group:
            (host,) = group.hosts.values()
            host.configure("", "maxretry = 1\n")
            host.start()
            self.alone = hosts.read(host, 100 * some)

    def goals(self) -> Iterator[Goal]:
        """All bars."""
        half, most = self._at(0.5), self._at(0.99)
        yield Goal("ban on A to route on B, p50", "10 ms", f"{half:.1f} ms", half <= 10)
        yield Goal("ban on A to route on B, p99", "50 ms", f"{most:.1f} ms", most <= 50)
        yield Goal(f"a new host has {self.bans:,} bans", "3 s", f"{self.join:.1f} s", self.join <= 3)
        yield Goal("failures of 30 hosts a second", "≥ 10,000", f"{self.rate:,.0f}", self.rate >= 9_500)
        slower = 100 * (self.together / self.alone - 1)
        yield Goal("reading in a group: slower by", "< 10 %", f"{slower:.1f} %", slower < 10)

    def _at(self, part: float) -> float:
        return 1000 * self.latencies[int(len(self.latencies) * part)]

    def tables(self) -> Iterator[Table]:
        """Everything that was measured."""
        yield goals_table(self.goals())
        rows = [
            ("bans that arrived", str(len(self.latencies))),
            ("the slowest", f"{1000 * self.latencies[-1]:.1f} ms"),
            ("memory of Redis for a ban", f"{self.bytes:.0f} bytes"),
            ("memory of the new host", f"{self.memory / (1 << 20):.0f} MiB"),
            ("round trip of 20 failures, p50", f"{1000 * statistics.median(self.trips):.1f} ms"),
            ("CPU of Redis meanwhile", f"{100 * self.server:.0f} % of a core"),
            (f"300 hosts: {self.number} bans of one on all", f"{self.many['seconds']:.1f} s"),
            ("CPU of a host for a ban that arrives", f"{1e6 * self.many['cpu'] / self.number:.0f} us"),
            ("CPU of Redis for a ban that arrives", f"{1e6 * self.delivery:.0f} us"),
            ("hostile lines a host alone reads", f"{self.alone:.2f} s"),
            ("the same in a group", f"{self.together:.2f} s"),
        ]
        yield Table("Several hosts", ("", ""), rows)


def main() -> None:
    """Measure, print, write."""
    options = argparse.ArgumentParser(prog="bench-cluster", description=__doc__)
    options.add_argument("--quick", action="store_true", help="fewer bans; writes no page")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as root:
        found = Found(Path(root), *((30_000, 100, 5.0) if given.quick else (300_000, 400, 20.0)))
    page.show(found.tables())
    if given.quick:
        return
    page.write(
        ROOT / "docs/benchmarks.md",
        "bench-cluster",
        page.part("Several hosts", _INTRODUCTION, found.tables()),
    )


if __name__ == "__main__":
    main()
