"""The benchmark of scanning: `make bench-scan`, or `python -m bench.scan --help`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench import page
from bench.circumstances import circumstances
from bench.scan import growth, latency, places, report, results, speed
from bench.scan.results import Results

_SECTIONS = ("speed", "growth", "latency", "huge")
_DOCS = places.ROOT / "docs"
_PROGRAMS = ("zmban", "fail2ban-regex", "sshguard", "ripgrep", "wc -l")


@dataclass(frozen=True)
class Plan:
    """What is measured, and how much."""

    lines: int
    rounds: int
    samples: int
    seconds: float
    sections: tuple[str, ...]
    quick: bool
    docs: Path | None


def _plan() -> Plan:
    options = argparse.ArgumentParser(prog="bench-scan", description=__doc__)
    options.add_argument(
        "--lines", type=int, help="lines of the longest log (default: 10,000,000; quick: 200,000)"
    )
    options.add_argument("--rounds", type=int, help="number of runs of each program (default: 3; quick: 1)")
    options.add_argument("--quick", action="store_true", help="a short run of a minute; writes no page")
    options.add_argument(
        "--only", choices=_SECTIONS, action="append", help="measure only this section; repeatable"
    )
    options.add_argument(
        "--huge",
        action="store_true",
        help="also measure memory with a log of 10 GB, created in the cache and removed",
    )
    options.add_argument(
        "--docs", type=Path, help="directory of the page (default: docs/; with --quick: none)"
    )
    given = options.parse_args()
    usual = _SECTIONS if given.huge else _SECTIONS[:3]
    return Plan(
        lines=max(10_000, given.lines or (200_000 if given.quick else 10_000_000)),
        rounds=given.rounds or (1 if given.quick else 3),
        samples=100 if given.quick else 500,
        seconds=5.0 if given.quick else 30.0,
        sections=tuple(given.only or usual),
        quick=given.quick,
        docs=given.docs or (None if given.quick else _DOCS),
    )


def say(text: str) -> None:
    """Print progress to standard error."""
    sys.stderr.write(f"{text}\n")


def _measure(plan: Plan, section: str, found: Results) -> None:
    match section:
        case "speed":
            found.speed = speed.measure(plan.lines, plan.rounds, say)
        case "growth":
            found.growth = growth.measure(plan.lines, plan.rounds, say)
        case "latency":
            found.latency, found.idle = latency.measure(plan.samples, plan.lines, plan.seconds, say)
        case "huge":
            found.huge = growth.huge(plan.lines, say)
    how = {"lines of the longest log": f"{plan.lines:,}", "rounds": plan.rounds}
    found.told[section] = circumstances(how if section in ("speed", "growth") else {})


def figures(found: Results) -> dict[str, object]:
    """The data of the plots."""
    logs: dict[str, dict[str, float]] = {}
    for kind in speed.KINDS:
        rates = {name: runs.rate for name in _PROGRAMS if (runs := found.program(kind.name, name))}
        logs |= {kind.name: rates} if rates else {}
    curves = {name: found.curve(name) for name in ("jails", "logs", "lines", "attackers")}
    points = {
        name: [
            [x, max(r.rss) / 2**20 if name == "attackers" else r.seconds] for x, r in sorted(curve.items())
        ]
        for name, curve in curves.items()
        if curve
    }
    return {"speed": logs, "growth": points}


def _write(found: Results, docs: Path) -> None:
    docs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="zmban-bench-") as folder:
        path = Path(folder) / "figures.json"
        path.write_text(json.dumps(figures(found)), encoding="utf-8")
        script = Path(__file__).with_name("plot.py")
        subprocess.run([str(places.tool("plot")), "-I", str(script), str(path), str(docs)], check=True)
    page.write(docs / "benchmarks.md", "bench-scan", report.part(found, results.versions()))


def main() -> None:
    """Measure, save, print and write the page."""
    plan = _plan()
    found = results.load(quick=plan.quick)
    for section in plan.sections:
        say(f"section {section}")
        try:
            _measure(plan, section, found)
        except (PermissionError, RuntimeError) as error:
            # A section that fails must not prevent the others.
            say(f"section {section} was left out: {error}")
            continue
        results.save(found, quick=plan.quick)
    report.show(found, quick=plan.quick)
    if plan.docs is not None:
        _write(found, plan.docs)
        say(f"written: {plan.docs / 'benchmarks.md'}")


if __name__ == "__main__":
    main()
