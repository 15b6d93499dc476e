"""Runs whole programs and keeps what each run took: wall and processor seconds, peak memory, lines found."""

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
    """One run: seconds, processor seconds, peak bytes, and the lines that the program says it found."""

    wall: float
    cpu: float
    rss: int
    found: int


@dataclass
class Runs:
    """All runs of one program over one log, or of one point of a curve. `note` says what is special about it."""

    program: str
    log: str
    lines: int
    bytes: int
    note: str = ""
    start: float = 0.0  # seconds over an empty log
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)
    found: int = 0

    def add(self, once: Once) -> None:
        """One more run."""
        self.wall.append(once.wall)
        self.cpu.append(once.cpu)
        self.rss.append(once.rss)
        self.found = once.found

    @property
    def seconds(self) -> float:
        """The median of the wall seconds."""
        return statistics.median(self.wall)

    @property
    def rate(self) -> float:
        """Lines a second, by the median."""
        return self.lines / self.seconds


@dataclass(frozen=True)
class Program:
    """How a program is run over a log. `found` reads the number of lines that it found from its output."""

    name: str
    command: Callable[[Path], list[str]]
    found: Callable[[Path], int]
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: bool = False
    codes: tuple[int, ...] = (0,)


def once(program: Program, log: Path) -> Once:
    """Run it over a log. RuntimeError with its own words where it fails."""
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
