"""Generates the logs of the benchmark, with a known number of hits; the same for the same seed. Cached.

Records are drawn from a pool that is rendered once, so that ten million lines take seconds. Hits are rendered one by
one, because their addresses differ.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

# Part of the names of cached logs: increase it with every change of their content.
VERSION = 1
BEGIN = datetime(2026, 11, 20, tzinfo=UTC)
# The current time for the programs: later than every line of every log.
NOW = (BEGIN + timedelta(days=3)).timestamp()
POOL = 40_000
# Marks the place of the date in a record, if it is not at its beginning.
DATE = "@DATE@"
_ADDRESSES = 1 << 22


@dataclass(frozen=True)
class Kind:
    """A kind of log. `stamp`: the date of a record; `rate` records share one, and the next is `step` later."""

    name: str
    file: str  # zmban chooses the grammar by this name
    stamp: Callable[[datetime], str]
    quiet: Callable[[random.Random], str]
    hostile: Callable[[random.Random, str], str]
    share: float  # share of hits among its lines
    rate: int = 200
    step: timedelta = timedelta(seconds=1)
    attackers: int = 5_000


@dataclass(frozen=True)
class Log:
    """A generated log: path, length, and the number of lines that each program must find."""

    kind: str
    path: Path
    lines: int
    bytes: int
    hits: int


def address(number: int) -> str:
    """The address of an attacker: in shared space (RFC 6598), every sixteenth a documentation IPv6 address.
    Consecutive numbers give distant addresses."""
    spread = number * 2_654_435_761 % _ADDRESSES
    if number % 16 == 15:
        return f"2001:db8:{spread >> 12:x}:{spread & 0xFFF:x}::7"
    return f"100.{64 + (spread >> 16)}.{spread >> 8 & 255}.{spread & 255}"


def chunks(
    kind: Kind, lines: int, seed: int = 1, attackers: int | None = None
) -> Iterator[tuple[bytes, int]]:
    """The text of the log in pieces, each with its number of hits. A shorter log is the beginning of a longer
    one, except for its last second.

    With `attackers`, hits use that many addresses in turn; else random ones of the kind's number.
    """
    chance = random.Random(f"{kind.name} {seed}")
    # A log of hits only uses nothing from the pool.
    pool = [kind.quiet(chance) for _ in range(POOL if kind.share < 1 else 1)]
    length = sum(text.count("\n") + 1 for text in pool) / len(pool)
    gap = 1 / (kind.share * length) if kind.share < 1 else 0.0
    at, left, number = BEGIN, lines, 0
    wait = chance.expovariate(1 / gap) if gap else 0.0
    while left:
        records = chance.choices(pool, k=kind.rate)
        hits = []
        while wait < kind.rate:
            who = number % attackers if attackers else chance.randrange(kind.attackers)
            records[int(wait)] = kind.hostile(chance, address(who))
            hits.append(int(wait))
            number += 1
            wait = wait + max(1.0, chance.expovariate(1 / gap)) if gap else len(hits)
        wait = wait - kind.rate if gap else 0.0
        count = sum(record.count("\n") + 1 for record in records)
        if count > left:
            fits = _fitting(records, left)
            hits = [index for index in hits if index in fits]
            rest = left - sum(records[index].count("\n") + 1 for index in fits)
            single = (record for record in pool if "\n" not in record)
            records = [*(records[index] for index in fits), *islice(single, rest)]
            count = left
        yield _stamped(records, kind.stamp(at)).encode(), len(hits)
        left -= count
        at += kind.step


def _stamped(records: list[str], stamp: str) -> str:
    """Records with their date, at the beginning or at the marked place."""
    if DATE in records[0]:
        return ("\n".join(records) + "\n").replace(DATE, stamp)
    return stamp + ("\n" + stamp).join(records) + "\n"


def _fitting(records: list[str], left: int) -> list[int]:
    """The records that fit into the remaining lines of a log, in order."""
    fits = []
    for index, record in enumerate(records):
        size = record.count("\n") + 1
        if size <= left:
            fits.append(index)
            left -= size
    return fits


def write(kind: Kind, path: Path, lines: int, seed: int = 1, attackers: int | None = None) -> Log:
    """Write a log to `path`."""
    hits = size = 0
    pieces: list[bytes] = []
    with path.open("wb", buffering=0) as file:
        for text, count in chunks(kind, lines, seed, attackers):
            hits += count
            size += len(text)
            pieces.append(text)
            if len(pieces) == 256:
                file.write(b"".join(pieces))
                pieces = []
        file.write(b"".join(pieces))
    return Log(kind.name, path, lines, size, hits)


def cache() -> Path:
    """The directory of logs and results."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    place = Path(home) / "zmban" / "bench"
    place.mkdir(parents=True, exist_ok=True)
    return place


def cached(kind: Kind, lines: int, seed: int = 1, attackers: int | None = None) -> Log:
    """The log from the cache; generated if it is missing."""
    parts = (kind.name, f"v{VERSION}", f"s{seed}", lines, *([f"a{attackers}"] if attackers else []))
    place = cache() / "logs" / "-".join(map(str, parts))
    path, notes = place / kind.file, place / "log.json"
    if not notes.is_file():
        place.mkdir(parents=True, exist_ok=True)
        log = write(kind, path, lines, seed, attackers)
        # Written last: a log without notes is incomplete.
        notes.write_text(json.dumps(asdict(log) | {"path": path.name}), encoding="utf-8")
    found = json.loads(notes.read_text(encoding="utf-8"))
    return Log(**(found | {"path": path}))
