"""Writes and rotates the log of a mail server under attack, as a separate process that no kill of zmban affects.

    python -m tests.faults.writing LOG SEED WAYS

It writes until `stop` comes on its standard input, where `burst` asks for several rotations at once; then it says as
JSON how many lines it wrote and how it rotated. Line number n is an attack of `client(n)`.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import select
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

WAYS = ("rename", "late", "gzip", "copy", "link")
# Attackers that come back; every other client comes at most four times.
CHOSEN = (
    *(f"198.51.100.{n}" for n in range(1, 7)),
    *(f"203.0.113.{n}" for n in range(1, 5)),
    "2001:db8:ffff::1",
    "2001:db8:ffff:1::1",
)
RETRIES = 5
_EVERY = 7
# Number of rotated files to keep.
_KEPT = 60


def client(number: int) -> str:
    """The client of line `number`."""
    if number % _EVERY == 0:
        return CHOSEN[number // _EVERY % len(CHOSEN)]
    quiet = number // 4
    if quiet % 5 == 0:
        return f"2001:db8:{quiet >> 16:x}:{quiet & 0xFFFF:x}::7"
    return f"198.{18 + (quiet >> 16 & 1)}.{quiet >> 8 & 255}.{quiet & 255}"


def due(lines: int) -> set[str]:
    """The clients with enough failures in this many lines."""
    counts = Counter(client(number) for number in range(lines))
    return {one for one, count in counts.items() if count >= RETRIES}


class Writer:
    """Writes and rotates at random; `number` is that of the next line."""

    def __init__(self, log: Path, seed: str, ways: tuple[str, ...]) -> None:
        self.log, self.chance, self.ways = log, random.Random(seed), ways
        self.number, self.files = 0, 0
        self.rotations: Counter[str] = Counter()
        self.current = self._open(log)
        # Renamed files that are still written to, with the end; and files to be compressed, with the time.
        self.late: list[tuple[int, float]] = []
        self.to_pack: list[tuple[Path, float]] = []

    @staticmethod
    def _open(path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def lines(self, file: int, count: int) -> None:
        """Append attacks; sometimes the last line is written in two pieces."""
        now = datetime.now().astimezone().strftime("%b %e %H:%M:%S")
        text = ""
        for number in range(self.number, self.number + count):
            who = f"unknown[{client(number)}]"
            program = f"mail postfix/smtps/smtpd[{1000 + number * 7 % 30000}]"
            text += f"{now} {program}: warning: {who}: SASL LOGIN authentication failed: n={number}\n"
        self.number += count
        data = text.encode()
        cut = len(data) - self.chance.randrange(1, 60) if self.chance.random() < 0.2 else len(data)
        os.write(file, data[:cut])
        if cut < len(data):
            time.sleep(self.chance.uniform(0, 0.01))
            os.write(file, data[cut:])

    def rotate(self) -> None:
        """Rotate in one of the modes."""
        way = self.chance.choice(self.ways)
        self.rotations[way] += 1
        ways: dict[str, Callable[[], None]] = {
            "rename": self._rename,
            "late": lambda: self._rename(late=self.chance.uniform(0.1, 2.0)),
            "gzip": lambda: self._rename(late=self.chance.uniform(0.0, 0.5), pack=True),
            "copy": self._copy,
            "link": self._link,
        }
        ways[way]()

    def _aside(self) -> Path:
        self.files += 1
        for old in self.log.parent.glob(f"{self.log.name}-{self.files - _KEPT:05}*"):
            old.unlink()
        return self.log.with_name(f"{self.log.name}-{self.files:05}")

    def _tell(self, what: str, path: Path) -> None:
        """Record each change in a file beside the logs, to analyse a failure."""
        with self.log.parent.with_name("rotations").open("a") as file:
            file.write(f"{time.time():.3f} {what} {path.name} before n={self.number}\n")

    def _rename(self, late: float = 0.0, *, pack: bool = False) -> None:
        if self.log.is_symlink():
            # The old file keeps its name; a new file gets that of the log.
            aside = self.log.resolve()
            new = self.log.with_name("next")
            self._next(self._open(new), late)
            new.rename(self.log)
        else:
            aside = self._aside()
            self.log.rename(aside)
            self._next(self._open(self.log), late)
        self._tell("late" if late else "renamed", aside)
        if pack:
            self.to_pack.append((aside, time.monotonic() + late + self.chance.uniform(0.0, 1.5)))

    def _next(self, file: int, late: float) -> None:
        self.late.append((self.current, time.monotonic() + late))
        self.current = file
        # Late writes to the file before the last one end before a third rotation.
        while len(self.late) > 2:
            os.close(self.late.pop(0)[0])

    def _copy(self) -> None:
        """Copy and truncate, without a write in between: such lines would be lost by the rotation."""
        aside, size = self._aside(), os.fstat(self.current).st_size
        shutil.copyfile(self.log, aside)
        os.truncate(self.log, 0)
        self._tell("copied to", aside)
        if self.chance.random() < 0.5:
            self.lines(self.current, min(size // 100 + 2, 2000))
        if self.chance.random() < 0.3:
            self.to_pack.append((aside, time.monotonic() + self.chance.uniform(0.0, 1.5)))

    def _link(self) -> None:
        aside, link = self._aside(), self.log.with_name("link")
        if not self.log.is_symlink():
            self.log.rename(self._aside())
        self._next(self._open(aside), self.chance.choice((0.0, 0.5)))
        link.symlink_to(aside)
        link.rename(self.log)
        self._tell("linked to", aside)

    def tidy(self, now: float) -> None:
        """End the due late writes, and compress the due files."""
        for file, until in [one for one in self.late if one[1] <= now]:
            os.close(file)
            self.late.remove((file, until))
        for path, when in [one for one in self.to_pack if one[1] <= now]:
            self.to_pack.remove((path, when))
            with path.open("rb") as plain, gzip.open(f"{path}.gz", "wb") as packed:
                shutil.copyfileobj(plain, packed)
            shutil.copystat(path, f"{path}.gz")
            path.unlink()
            self._tell("packed", path)

    def step(self) -> None:
        """Write a few lines, to the log or to a renamed file; sometimes rotate."""
        files = [self.current, *(file for file, until in self.late if until > time.monotonic())]
        self.lines(self.chance.choice(files), self.chance.randrange(1, 12))
        if self.chance.random() < 0.02:
            self.rotate()
        self.tidy(time.monotonic())

    def burst(self) -> None:
        """Several rotations in quick succession."""
        for _ in range(self.chance.randrange(2, 5)):
            self.step()
            self.rotate()
            time.sleep(self.chance.uniform(0.02, 0.1))


def main() -> None:
    log, seed, ways = sys.argv[1:]
    writer = Writer(Path(log), seed, tuple(ways.split(",")))
    while True:
        if select.select([sys.stdin], [], [], writer.chance.uniform(0, 0.03))[0]:
            if sys.stdin.readline().strip() != "burst":
                break
            writer.burst()
        writer.step()
    print(json.dumps({"lines": writer.number, "rotations": writer.rotations}))


if __name__ == "__main__":
    main()
