"""What was measured, by name, kept in the cache so that one section can be measured anew by itself."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.scan.generate import cache
from sidecar.kernel.backend import Entry
from sidecar.network import Network

Say = Callable[[str], None]
SIZES = (22_000, 300_000, 1_000_000)
_SEED = 2520


@dataclass
class Figures:
    """All samples of each figure, named `section/size/what`; `told` is how each section was measured."""

    told: dict[str, dict[str, str]] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """One more sample."""
        self.samples.setdefault(name, []).append(value)

    def get(self, name: str) -> float | None:
        """The median, or None if it was not measured."""
        return self.at(name, 0.5)

    def at(self, name: str, share: float) -> float | None:
        """The sample that this share of all does not exceed."""
        ordered = sorted(self.samples.get(name, ()))
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None

    def forget(self, section: str) -> None:
        """The section is measured anew."""
        self.samples = {
            name: all_ for name, all_ in self.samples.items() if not name.startswith(f"{section}/")
        }


def _path() -> Path:
    return cache() / "kernel.json"


def load() -> Figures:
    """What was measured before."""
    return Figures(**json.loads(_path().read_text(encoding="utf-8"))) if _path().is_file() else Figures()


def save(figures: Figures) -> None:
    """Keep it for later."""
    part = _path().with_suffix(".part")
    part.write_text(json.dumps(asdict(figures)), encoding="utf-8")
    part.rename(_path())


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def addresses(size: int) -> dict[Network, Entry]:
    """`size` random IPv4 addresses below the loopback network, all to be refused; the same every time."""
    values = random.Random(_SEED).sample(range(0x0B000000, 0x7F000000), size)
    return {Network(4, value, 32): Entry.BAN for value in values}


def prefixes(size: int) -> dict[Network, Entry]:
    """`size` random IPv6 /64s of the documentation prefix, all to be refused."""
    values = random.Random(_SEED).sample(range(1 << 32), size)
    return {Network(6, (0x20010DB8 << 96) + (value << 64), 64): Entry.BAN for value in values}
