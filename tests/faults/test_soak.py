"""A long soak: bans come and go, and the database stays as large as it was.

`ZMBAN_SOAK`: number of bans and unbans; `ZMBAN_SEED`: the printed seed repeats a run.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sidecar.app.background import BackgroundTasks
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.persist.recovery import Store
from sidecar.app.persist.upkeep import DatabaseUpkeep
from sidecar.model import Ban, Failure, Position, Unban
from sidecar.network import Network
from sidecar.serve.metrics import Metrics
from sidecar.settings.schema import StoreSettings
from sidecar.store.changes import Allowed, Change, Login
from sidecar.store.database import Database
from sidecar.store.upkeep import retention
from sidecar.store.upkeep.retention import Limits
from tests.store.damaging import LINE

# 10,000 for each kill of tests/faults/test_kill.py, that is a million in `make test-faults`.
_KILLS = int(os.environ.get("ZMBAN_KILLS", "0"))
SOAK = int(os.environ.get("ZMBAN_SOAK", str(10_000 * _KILLS or 50_000)))
SEED = os.environ.get("ZMBAN_SEED", "7")
# The practice: bans that stand; and the longest growth.
STANDING, MOST = 22_000, 1.2
# The short form has a shorter history, which is full sooner.
SETTINGS = StoreSettings() if SOAK >= 1_000_000 else StoreSettings(history_rows=20_000)
DAY = 86400.0
# Bans per commit, commits per upkeep, seconds between two bans.
_COMMIT, _UPKEEP, _STEP = 500, 10, 20.0


class Soaked:
    """A database with its queue and upkeep, under a clock of its own. Each ban ends another one at random."""

    def __init__(self, state: Path) -> None:
        self.database, metrics = Database(state), Metrics()
        self.queue = CommitQueue(Store(self.database), BackgroundTasks())
        self.upkeep = DatabaseUpkeep(self.queue, metrics)
        self.chance, self.now, self.count = random.Random(SEED), 1.6e9, 0
        self.standing: list[Ban] = []

    def _came_and_went(self, most: int) -> Iterator[Change]:
        """A failure and its ban, with more standing than `most` also the end of a ban; now and then the rest
        that a service notes."""
        self.now += _STEP
        self.count += 1
        # Each number once, in no order.
        number = self.count * 2_654_435_761 % (1 << 32)
        who = Network(4, number, 32) if number & 7 else Network(6, number << 64, 64)
        yield Failure("smtp", who, self.now - 1, LINE)
        lines = (f"{LINE} {number}",) * 2
        ban = Ban(who, "smtp", self.now, self.now + 600, "log", "2 failures in 86400 s", 2, lines)
        yield ban
        self.standing.append(ban)
        if len(self.standing) > most:
            place = self.chance.randrange(len(self.standing))
            self.standing[place], self.standing[-1] = self.standing[-1], self.standing[place]
            ended = self.standing.pop()
            yield Unban(ended.network, ended.jail, self.now, "expired")
        if number % 10 == 0:
            yield Failure("web", who, self.now, LINE)
            yield Login(who, f"user{number}", self.now)
            yield Allowed(who, self.now, self.now + 3600, "a customer on the telephone")

    async def bans(self, number: int, most: int = STANDING) -> None:
        """So many bans, and as many ends."""
        for done in range(0, number, _COMMIT):
            self.queue.add(c for _ in range(_COMMIT) for c in self._came_and_went(most))
            self.queue.reached(Position("/var/log/zimbra.log", 7, done, b"head", b"tail"))
            assert await self.queue.commit() is None
            if done // _COMMIT % _UPKEEP == 0:
                await self.kept()

    async def kept(self) -> None:
        """One run of the upkeep."""
        await self.upkeep.prune(
            Limits(
                failures={"smtp": self.now - DAY, "web": self.now - DAY},
                history=self.now - SETTINGS.history_days * DAY,
                history_rows=SETTINGS.history_rows,
                logins=self.now - 30 * DAY,
                allowed=self.now,
            )
        )
        assert self.upkeep.failing is None


@pytest.fixture
async def soaked(tmp_path: Path) -> AsyncIterator[Soaked]:
    soaked = Soaked(tmp_path)
    yield soaked
    soaked.queue.database.close()


async def test_after_a_long_soak_of_bans_and_unbans_the_database_is_as_large_as_before(
    soaked: Soaked,
) -> None:
    # A service that has run for years: its bans stand, its history is full, and nothing is left to compact.
    await soaked.bans(STANDING + SETTINGS.history_rows)
    await soaked.kept()
    await soaked.upkeep.compact()
    start, begun = soaked.database.bytes(), time.monotonic()
    await soaked.bans(SOAK)
    await soaked.kept()
    end, took = soaked.database.bytes(), time.monotonic() - begun
    print(f"ZMBAN_SEED={SEED} ZMBAN_SOAK={SOAK}: {start:,} bytes before, {end:,} after, in {took:.0f} s")
    assert end <= start * MOST
    assert {*soaked.database.active_bans()} == {ban._replace(evidence=()) for ban in soaked.standing}
    assert len(soaked.standing) == STANDING
    assert retention.history_rows(soaked.database) == SETTINGS.history_rows
