"""Runs programs and records wall and CPU seconds, peak memory and the number of lines found."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_LAUNCH = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Once:
    """One run: seconds, CPU seconds, peak bytes, and the number of lines found according to the program."""

    wall: float
    cpu: float
    rss: int
    found: int


@dataclass
class Runs:
    """All runs of one program with one log, or of one point of a curve. `note`: remarks for the table."""

    program: str
    log: str
    lines: int
    bytes: int
    note: str = ""
    start: float = 0.0  # seconds with an empty log
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)
    found: int = 0

    def add(self, once: Once) -> None:
        """Add a run."""
        self.wall.append(once.wall)
        self.cpu.append(once.cpu)
        self.rss.append(once.rss)
        self.found = once.found

    @property
    def seconds(self) -> float:
        """The median of the wall clock seconds."""
        return statistics.median(self.wall)

    @property
    def rate(self) -> float:
        """Lines per second, by the median."""
        return self.lines / self.seconds


@dataclass(frozen=True)
class Program:
    """The command of a program for a log. `found` reads the number of lines found from its output."""

    name: str
    command: Callable[[Path], list[str]]
    found: Callable[[Path], int]
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: bool = False
    codes: tuple[int, ...] = (0,)


def once(program: Program, log: Path) -> Once:
    """Run it with a log. RuntimeError with its output if it fails."""
    with tempfile.TemporaryDirectory(prefix="zmban-bench-") as place:
        notes, output, errors = (Path(place) / name for name in ("notes", "output", "errors"))
        launch = [sys.executable, "-I", "-S", str(_LAUNCH), str(notes), *program.command(log)]
        with (
            (log if program.stdin else Path(os.devnull)).open("rb") as stdin,
            output.open("wb") as out,
            errors.open("wb") as err,
        ):
            environment = os.environ | program.environment
            subprocess.run(launch, stdin=stdin, stdout=out, stderr=err, env=environment, check=True)
        taken = json.loads(notes.read_text(encoding="utf-8"))
        if taken["code"] not in program.codes:
            said = errors.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise RuntimeError(f"{program.name} ended with {taken['code']}: {said}")
        return Once(taken["wall"], taken["cpu"], taken["rss"], program.found(output))
