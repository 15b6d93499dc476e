"""The figures as tables, for the terminal and for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Iterator

from bench.kernel.arrival import BURST, STANDING
from bench.kernel.fail2ban import RESTORED
from bench.kernel.figures import SIZES, Figures
from bench.kernel.goals import goals
from bench.kernel.writes import ONE_BY_ONE, OTHERS
from bench.page import Table, goals_table
from tests.conformance import package

_MIB = 1 << 20
_INTRODUCTION = """
`make bench-kernel` writes this part, in network namespaces of its own. Medians. Bans are random addresses, IPv6 random
/64. *all* writes them at once, *one* adds one more, *none* takes all away: zmban in its process, with the table of bans
at hand; the others by their program and a file of its commands. Adding one to nft's set of intervals looks at all that
are there: at 1,000,000 it was left out.
"""


def tables(found: Figures) -> Iterator[Table]:
    """Everything that was measured."""
    yield goals_table(goals(found))
    yield _writes(found)
    yield _lives(found)
    yield _arrival(found)
    yield _packets(found)


def _cell(value: float | None, text: str = "{:.3g}") -> str:
    return "" if value is None else text.format(value)


def _writes(found: Figures) -> Table:
    rows = []
    for size in SIZES:
        ours = found.get(f"writes/{size}/zmban/all")
        for prefix, name in (
            (f"{size}", "zmban"), (f"{size} IPv6", "zmban"), *((f"{size}", other) for other in OTHERS),
        ):  # fmt: skip
            each = [found.get(f"writes/{prefix}/{name}/{what}") for what in ("all", "one", "none")]
            if each[0] is None or ours is None:
                continue
            bans = f"{size:,}" + (", IPv6 /64" if "IPv6" in prefix else "")
            rate, ratio = f"{size / each[0]:,.0f}", f"{each[0] / ours:.3g}x"
            one = _cell(each[1] and each[1] * 1000)
            rows.append((name, bans, _cell(each[0]), rate, ratio, one, _cell(each[2])))
    alone = found.get(f"writes/2000/{ONE_BY_ONE}/all")
    if alone:
        rows.append((ONE_BY_ONE, "2,000", _cell(alone), f"{2000 / alone:,.0f}", "", _cell(alone / 2), ""))
    head = ("program", "bans", "all, s", "bans/s", "zmban is faster by", "one, ms", "none, s")
    return Table("Bans into the kernel", head, rows)


def _lives(found: Figures) -> Table:
    rows = []
    for size in (RESTORED, *SIZES):
        values = {
            what: found.get(f"lives/{size}/{what}")
            for what in (
                "start",
                "start again",
                "changes",
                "stop",
                "let in",
                "flush",
                "memory",
                "peak",
                "database",
            )
        }
        if values["start"] is None:
            continue
        seconds = [_cell(values[what]) for what in ("start", "start again", "stop", "let in", "flush")]
        sizes = [_cell((values[what] or 0) / _MIB) for what in ("memory", "peak", "database")]
        rows.append(("zmban", f"{size:,}", *seconds, *sizes))
    start, stop = (found.get(f"fail2ban/{RESTORED}/{what}") for what in ("start", "stop"))
    if start is not None:
        rows.append(("Fail2Ban", f"{RESTORED:,}", _cell(start), "", _cell(stop), "", "", "", "", ""))
    kept = found.get("fail2ban/22000/database")
    if kept is not None:
        rows.append(("Fail2Ban", "22,000", *[""] * 7, _cell(kept / _MIB)))
    head = (
        "program", "bans", "start to all routes, s", "start, all routes there, s", "stop, s",
        "stop with flush: let in, s", "and all gone, s", "memory, MiB", "peak", "database",
    )  # fmt: skip
    return Table("A service from start to stop, two lines of evidence to each ban", head, rows)


def _arrival(found: Figures) -> Table:
    names = (
        (f"zmban, {STANDING:,} bans standing", "arrival/one"),
        (f"zmban, {BURST:,} attackers in a second", "arrival/burst"),
        ("Fail2Ban, 1,000 bans standing", "fail2ban/one"),
    )
    rows = [
        (
            title,
            f"{len(found.samples[name]):,}",
            *(_cell(found.at(name, share), "{:,.2f}") for share in (0.5, 0.95, 0.99, 1)),
        )
        for title, name in names
        if name in found.samples
    ]
    head = ("milliseconds from the line to the route", "samples", "p50", "p95", "p99", "most")
    return Table("From a line to the route", head, rows)


def _packets(found: Figures) -> Table:
    rows = []
    for size in (0, *SIZES):
        four, six = (found.get(f"packets/{size}/IPv{version}") for version in (4, 6))
        if four is not None:
            rows.append((f"{size:,}", _cell(four, "{:,.0f}"), _cell(six, "{:,.0f}")))
    return Table("Round trips a second of a client that is not banned", ("bans", "IPv4", "IPv6"), rows)


def part(found: Figures) -> str:
    """The part of docs/benchmarks.md."""
    parts = [table.markdown() for table in tables(found)]
    told = "\n".join(
        f"- {section}: " + ", ".join(f"{key} {value}" for key, value in facts.items())
        for section, facts in found.told.items()
    )
    parts.insert(
        1,
        f"Measured on:\n\n{told}\n\nAgainst Fail2Ban {package.version()} and this system's ip, nft, ipset.\n",
    )
    return f"## Bans in the kernel\n{_INTRODUCTION}\n" + "\n".join(parts)
