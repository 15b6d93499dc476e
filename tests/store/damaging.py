"""Databases of realistic size, and every way to damage their pages."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

from sidecar.model import Ban, Failure, Position
from sidecar.network import Network
from sidecar.store.changes import Allowed, Change, HistoryEntry, Login, Zone
from sidecar.store.database import Database
from tests.store.pruning import prune

PAGE = 4096
FIRST = Network.parse("198.18.0.0").value
LINE = (
    "Nov 27 07:52:49 mail postfix/smtpd[4000]: warning: unknown[198.18.0.1]: SASL LOGIN authentication failed"
)


def realistic(state: Path, bans: int) -> list[Ban]:
    """Create a database with this many active bans, as after years of attacks, and return the bans."""
    made = [
        Ban(Network(4, FIRST + n, 32), "smtp", 1.7e9 + n, None, "log", "2 failures", 2, (f"{LINE} {n}",) * 2)
        for n in range(bans)
    ]
    # Evidence that spans many overflow pages.
    made[bans // 2] = made[bans // 2]._replace(evidence=(LINE * 300,))
    changes: list[Change] = [*made]
    changes += [HistoryEntry(ban, ban.at + 5.0, "expired") for ban in made[: bans // 2]]
    changes += [Failure("smtp", Network(6, n << 64, 64), 1.8e9 + n, LINE) for n in range(bans // 10)]
    changes += [Login(Network(4, FIRST - n - 1, 32), f"user{n}", 1.8e9) for n in range(bans // 20)]
    changes += [Allowed(Network.parse("203.0.113.50"), 1.0, None, "a friend"), Zone("/log", 3600.0)]
    changes += [Position("/log", 1, 10, b"head", b"tail", 1), Position("/log", 2, 20, b"head", b"tail", 2)]
    database = Database(state)
    for start in range(0, len(changes), 500):
        # Many transactions, so that the pages of all tables are interleaved.
        database.write(changes[start : start + 500])
    # Deleted rows leave free pages.
    prune(database, {"smtp": 1.8e9 + bans // 20})
    database.close()
    return made


def halved(data: bytearray, _: random.Random) -> None:
    """Truncate to half the length, as by an interrupted copy."""
    del data[len(data) // 2 :]


def cut(data: bytearray, by: random.Random) -> None:
    """Truncate at a random length."""
    del data[by.randrange(len(data)) :]


def overwritten(data: bytearray, by: random.Random) -> None:
    """Overwrite some bytes or pages with noise."""
    for _ in range(by.choice((1, 3, 20))):
        length = by.choice((1, 4, 100, PAGE))
        place = by.choice((by.randrange(len(data)), by.randrange(min(len(data), 3 * PAGE))))
        data[place : place + length] = by.randbytes(len(data[place : place + length]))


def zeroed(data: bytearray, by: random.Random) -> None:
    """Zero some pages, as if the disk never wrote them."""
    for _ in range(by.choice((1, 5, 50))):
        place = by.randrange(len(data) // PAGE) * PAGE
        data[place : place + PAGE] = bytes(PAGE)


def swapped(data: bytearray, by: random.Random) -> None:
    """Swap some pages."""
    for _ in range(by.choice((1, 5, 50))):
        one, two = (by.randrange(len(data) // PAGE) * PAGE for _ in range(2))
        first, second = data[one : one + PAGE], data[two : two + PAGE]
        data[one : one + PAGE], data[two : two + PAGE] = second, first


def pages(data: bytearray, *kinds: int) -> list[int]:
    """Offsets of the pages of these types (2 and 5: interior pages of an index and of a table)."""
    return [at for at in range(0, len(data) - PAGE + 1, PAGE) if data[at + (100 if at == 0 else 0)] in kinds]


def cyclic(data: bytearray, by: random.Random) -> None:
    """Make interior pages of the trees point to each other, or to themselves."""
    interior = pages(data, 2, 5)
    for at in by.sample(interior, min(len(interior), by.choice((1, 2, 99)))):
        cells = struct.unpack_from(">H", data, at + 3)[0]
        for cell in by.sample(range(cells), min(cells, by.choice((1, 5, 500)))):
            (place,) = struct.unpack_from(">H", data, at + 12 + 2 * cell)
            struct.pack_into(">I", data, at + place, by.choice((at, *interior)) // PAGE + 1)
        if by.random() < 0.5:
            struct.pack_into(">I", data, at + 8, by.choice((at, *interior)) // PAGE + 1)


def chained(data: bytearray, by: random.Random) -> None:
    """Turn the chains of overflow pages and of free pages into loops."""
    trees = {*pages(data, 2, 5, 10, 13)}
    others = [at for at in range(PAGE, len(data) - PAGE + 1, PAGE) if at not in trees]
    for at in others:
        struct.pack_into(">I", data, at, by.choice(others) // PAGE + 1)
    if others:
        struct.pack_into(">II", data, 32, by.choice(others) // PAGE + 1, by.randrange(1, 1 << 20))


DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    halved, cut, overwritten, zeroed, swapped, cyclic, chained,
)  # fmt: skip
