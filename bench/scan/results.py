"""The results of all sections, saved in the cache, so that a single section can be measured again."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.scan import places
from bench.scan.generate import cache
from bench.scan.latency import Idle, Latency
from bench.scan.measure import Runs
from tests.conformance import package


@dataclass
class Results:
    """All results. A section that was never measured is empty. `told`: the conditions of each section."""

    told: dict[str, dict[str, str]] = field(default_factory=dict)
    speed: list[Runs] = field(default_factory=list)
    growth: list[Runs] = field(default_factory=list)
    huge: Runs | None = None
    latency: list[Latency] = field(default_factory=list)
    idle: Idle | None = None

    def program(self, log: str, name: str) -> Runs | None:
        """The runs of a program with a log. `ripgrep` is the fastest of its variants."""
        found = [runs for runs in self.speed if runs.log == log and runs.program.startswith(name)]
        return max(found, key=lambda runs: runs.rate, default=None)

    def curve(self, series: str) -> dict[int, Runs]:
        """The points of a curve, by their x value."""
        return {int(runs.log): runs for runs in self.growth if runs.program == series}


def _path(*, quick: bool) -> Path:
    return cache() / ("results-quick.json" if quick else "results.json")


def load(*, quick: bool) -> Results:
    """Read the saved results."""
    path = _path(quick=quick)
    if not path.is_file():
        return Results()
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Results(
        kept["told"],
        [Runs(**one) for one in kept["speed"]],
        [Runs(**one) for one in kept["growth"]],
        Runs(**kept["huge"]) if kept["huge"] else None,
        [Latency(**one) for one in kept["latency"]],
        Idle(**kept["idle"]) if kept["idle"] else None,
    )


def save(results: Results, *, quick: bool) -> None:
    """Save the results."""
    path = _path(quick=quick)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(results)), encoding="utf-8")
    part.rename(path)


def versions() -> dict[str, str]:
    """The versions of the compared programs."""
    wc = subprocess.run(["/usr/bin/wc", "--version"], capture_output=True, text=True, check=False).stdout
    return {
        "fail2ban-regex": package.version(),
        "ripgrep": places.package_version("ripgrep"),
        "sshguard": places.package_version("sshguard"),
        "wc": wc.partition("\n")[0].rpartition(" ")[2],
    }
