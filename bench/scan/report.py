"""The results as tables, for the terminal and for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Iterator

from bench import page
from bench.page import Table, goals_table
from bench.scan import speed
from bench.scan.goals import goals, per_attacker
from bench.scan.measure import Runs
from bench.scan.results import Results

_MIB = 1 << 20
_TITLES = {
    "zimbra-quiet": "zimbra.log, quiet: 0.2 % of the lines count",
    "zimbra-attack": "zimbra.log under attack: every line counts",
    "mailbox": "mailbox.log with stack traces: 0.2 % of the lines count",
    "access": "nginx.access.log, with a filter of the benchmark's own: 0.2 % of the lines count",
}
_CURVES = {
    "jails": ("jails", "zmban, more jails on one log, each with literals of its own"),
    "logs": ("logs", "zmban, the same lines in more logs"),
    "lines": ("lines", "zmban, longer logs"),
    "attackers": ("attackers", "zmban, more attackers, one failure each, all in the window"),
}


def tables(results: Results) -> Iterator[Table]:
    """The tables of all measurements."""
    yield goals_table(goals(results))
    yield from (_speed(results, kind.name) for kind in speed.KINDS if results.program(kind.name, "zmban"))
    yield from (_curve(results, series) for series in _CURVES if results.curve(series))
    if results.huge is not None:
        yield _huge(results.huge)
    if results.latency:
        yield _latency(results)
    if results.idle is not None:
        yield _idle(results)


def _spread(runs: Runs) -> str:
    return f"{runs.seconds:.2f} ({min(runs.wall):.2f} to {max(runs.wall):.2f})"


def _speed(results: Results, log: str) -> Table:
    all_runs = [runs for runs in results.speed if runs.log == log]
    ours = next(runs for runs in all_runs if runs.program.startswith("zmban"))
    rows = [
        (
            runs.program + (f" ({runs.note})" if runs.note else ""),
            f"{runs.lines:,}",
            _spread(runs),
            f"{runs.start:.2f}",
            f"{runs.rate:,.0f}",
            f"{runs.bytes / runs.seconds / 1e6:,.1f}",
            f"{sum(runs.cpu) / len(runs.cpu):.2f}",
            f"{max(runs.rss) / _MIB:.0f}",
            f"{runs.found:,}",
            f"{ours.rate / runs.rate:.3g}x",
        )
        for runs in all_runs
    ]
    head = (
        "program,lines,seconds (least to most),empty log s,lines/s,MB/s,CPU s,peak MiB,found,zmban is".split(
            ","
        )
    )
    return Table(_TITLES[log], tuple(head), rows)


def _curve(results: Results, series: str) -> Table:
    name, title = _CURVES[series]
    curve = results.curve(series)
    each = per_attacker(results)
    first = next(iter(curve.values())).seconds
    rows = []
    for x, runs in sorted(curve.items()):
        row = (
            f"{x:,}",
            _spread(runs),
            f"{runs.seconds / first:.2f}x",
            f"{runs.rate:,.0f}",
            f"{max(runs.rss) / _MIB:.0f}",
        )
        rows.append(row if series != "attackers" else (*row, f"{each[x]:.0f}" if x in each else ""))
    head = (name, "seconds (least to most)", "time to the first", "lines/s", "peak MiB")
    return Table(title, head if series != "attackers" else (*head, "bytes each"), rows)


def _huge(runs: Runs) -> Table:
    row = (
        f"{runs.bytes / 1e9:.1f} GB",
        f"{runs.lines:,}",
        f"{runs.seconds:.1f}",
        f"{max(runs.rss) / _MIB:.0f}",
    )
    return Table("zmban over a very long log", ("log", "lines", "seconds", "peak MiB"), [row])


def _latency(results: Results) -> Table:
    rows = [
        (one.name, str(len(one.samples)), *(f"{one.at(share):.2f}" for share in (0.5, 0.95, 0.99, 1.0)))
        for one in results.latency
        if one.samples
    ]
    head = ("milliseconds from the line to the route, while", "samples", "p50", "p95", "p99", "most")
    return Table("From a line to the route, whole service", head, rows)


def _idle(results: Results) -> Table:
    found = results.idle
    assert found is not None
    row = (str(found.logs), f"{found.seconds:.0f}", f"{found.percent:.2f}", f"{found.rss / _MIB:.0f}")
    return Table("A service with nothing to do", ("quiet logs", "seconds", "% of one core", "MiB"), [row])


def show(results: Results, *, quick: bool) -> None:
    """Print all tables."""
    warning = "A quick run mostly measures the start of the programs: its goals are not meaningful."
    page.show(tables(results), warning if quick else "")


_INTRODUCTION = """
`make bench-scan` writes this part. The logs are generated from a seed. All programs run in turn; the tables show median,
minimum and maximum. Lines/s are those of the whole process, including its start; the time for an empty log is in its own
column. fail2ban-regex gets only the beginning of the log, because the whole log would take minutes. zmban runs all shipped
jails. The number of lines found is checked, except for sshguard, which has its own grammar; sshguard is not run on
mailbox.log, because it resolves each Java class name. ripgrep gets the regexes of the filter, with the date inserted; its
fastest variant counts. It maps the log into memory, which is part of its peak. Peaks below 10 MiB are those of the
launcher. *zmban is* is the ratio of zmban's lines/s to those of the program.
"""


def part(results: Results, versions: dict[str, str]) -> str:
    """The part of docs/benchmarks.md between the markers."""
    parts = [t.markdown() for t in tables(results)]
    told = "\n".join(
        f"- {section}: " + ", ".join(f"{key} {value}" for key, value in facts.items())
        for section, facts in results.told.items()
    )
    programs = ", ".join(f"{name} {version}" for name, version in versions.items())
    plots = "![Lines a second](benchmarks-scan.svg)\n" if results.speed else ""
    plots += "\n![Growth](benchmarks-growth.svg)\n" if results.growth else ""
    parts.insert(1, f"{plots}\nMeasured on:\n\n{told}\n\nAgainst: {programs}, all but wc from Debian.\n")
    return f"## Scanning\n{_INTRODUCTION}\n" + "\n".join(parts)
