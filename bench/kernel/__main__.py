"""The benchmark of bans in the kernel: `make bench-kernel`, or `python -m bench.kernel --help`; as root."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

from bench import page
from bench.circumstances import circumstances
from bench.kernel import arrival, fail2ban, figures, lives, packets, report, writes
from bench.kernel.figures import SIZES, Figures
from bench.scan.places import ROOT

_SECTIONS = ("writes", "lives", "arrival", "packets", "fail2ban")


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    sizes: tuple[int, ...]
    rounds: int
    sections: tuple[str, ...]
    quick: bool


def _plan() -> Plan:
    options = argparse.ArgumentParser(prog="bench-kernel", description=__doc__)
    options.add_argument(
        "--quick", action="store_true", help="22,000 bans, once; keeps nothing, writes no page"
    )
    options.add_argument("--rounds", type=int, help="how often each is measured (3; quick: 1)")
    options.add_argument("--only", choices=_SECTIONS, action="append", help="this section; repeat it")
    given = options.parse_args()
    return Plan(
        sizes=SIZES[:1] if given.quick else SIZES,
        rounds=given.rounds or (1 if given.quick else 3),
        sections=tuple(given.only or _SECTIONS),
        quick=given.quick,
    )


def say(text: str) -> None:
    """Progress, so that minutes do not look like a standstill."""
    sys.stderr.write(f"{text}\n")


def _measure(plan: Plan, section: str, found: Figures) -> None:
    match section:
        case "writes":
            writes.measure(found, plan.sizes, plan.rounds, say)
        case "lives":
            lives.measure(found, (fail2ban.RESTORED, *plan.sizes), plan.rounds, say)
        case "arrival":
            arrival.measure(found, 100 if plan.quick else 500, plan.rounds, say)
        case "packets":
            packets.measure(found, plan.sizes, plan.rounds, 1.0 if plan.quick else 3.0, say)
        case "fail2ban":
            fail2ban.measure(found, 5 if plan.quick else 20, min(2, plan.rounds), say)
    found.told[section] = circumstances({"rounds": plan.rounds})


def main() -> None:
    """Measure, keep, print, write."""
    plan = _plan()
    found = Figures() if plan.quick else figures.load()
    for section in plan.sections:
        found.forget(section)
        _measure(plan, section, found)
        if not plan.quick:
            figures.save(found)
    page.show(report.tables(found))
    if not plan.quick:
        page.write(ROOT / "docs/benchmarks.md", "bench-kernel", report.part(found))


if __name__ == "__main__":
    main()
