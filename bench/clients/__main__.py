"""The benchmark of the page: `make bench-page`, or `python -m bench.clients --help`; as root."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from bench import page
from bench.circumstances import circumstances
from bench.clients import measure
from bench.clients.measure import LISTED, STANDING
from bench.kernel.figures import Figures
from bench.page import Goal, Table, goals_table
from bench.scan.places import ROOT

_MIB = 1 << 20
_INTRODUCTION = """
`make bench-page` writes this part, in network namespaces of its own. Without and with the crowd turn by turn, of one service,
whose webhooks hang and whose mail server is down all the time. The crowd: 1,000 idle connections, 50 followers of live
events and 10 that never read, 20 clients that send a letter at a time, three that read everything, headers of 100 MB,
wrong tokens, hosts and origins. The first view is that of the list, from the address to its rows, in Chromium.
"""


def goals(found: Figures) -> Iterator[Goal]:
    """All bars."""
    for what, name, share, bar, text, unit in (
        ("line to route, p99, with the crowd", "crowd", 0.99, 15, "{:.2f} ms", 1),
        ("bytes of the page, compressed", "bytes", 0.5, 60, "{:.1f} KB", 1000),
        (f"first view of {LISTED:,} bans", "first view", 0.5, 1, "{:.2f} s", 1),
        (f"memory more with 50 followers, {LISTED:,} bans", "memory", 0.5, 15, "{:.1f} MiB", _MIB),
    ):
        value = (found.at(f"clients/{name}", share) or 0) / unit
        yield Goal(what, f"≤ {text.format(bar)}", text.format(value), value <= bar)


def tables(found: Figures) -> Iterator[Table]:
    """Everything that was measured."""
    yield goals_table(goals(found))
    rows = [
        (
            f"{STANDING:,} bans standing, {title}",
            f"{len(found.samples[name]):,}",
            *(f"{found.at(name, share):,.2f}" for share in (0.5, 0.95, 0.99, 1)),
        )
        for title, name in (("no clients", "clients/quiet"), ("the crowd", "clients/crowd"))
    ]
    head = ("milliseconds from the line to the route", "samples", "p50", "p95", "p99", "most")
    yield Table("From a line to the route", head, rows)


def main() -> None:
    """Measure, print, write."""
    options = argparse.ArgumentParser(prog="bench-page", description=__doc__)
    options.add_argument("--quick", action="store_true", help="fewer samples; writes no page")
    given = options.parse_args()
    found = Figures()
    measure.measure(found, 50 if given.quick else 300, 1 if given.quick else 3, print)
    page.show(tables(found))
    if given.quick:
        return
    told = ", ".join(f"{key} {value}" for key, value in circumstances({}).items())
    parts = [table.markdown() for table in tables(found)]
    text = f"## The page\n{_INTRODUCTION}\n" + "\n".join([parts[0], f"Measured on: {told}\n", *parts[1:]])
    page.write(ROOT / "docs/benchmarks.md", "bench-page", text)


if __name__ == "__main__":
    main()
