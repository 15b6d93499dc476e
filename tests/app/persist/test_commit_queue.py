"""The commit queue with a database that can be told to fail: one transaction takes changes and positions, in order."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from sidecar.app.background import BackgroundTasks
from sidecar.app.persist import commit_queue as module
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.persist.recovery import Store
from sidecar.model import (
    Ban,
    Batch,
    Extended,
    Failure,
    FailuresCleared,
    Match,
    Position,
    Refused,
    StoreError,
    Unban,
)
from sidecar.network import Network
from sidecar.store.changes import Change, EvidenceLines, HistoryEntry
from sidecar.store.database import FILE, DamagedError, Database
from sidecar.store.repair import damage

ONE, TWO, THREE = (Network.parse(f"203.0.113.{n}") for n in (1, 2, 3))
FULL = StoreError("the disk is full")


class Telling(Database):
    """Keeps what each transaction was given, and fails as it is told to: `errors` are raised one by one."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self.transactions: list[list[Change]] = []
        self.errors: list[StoreError] = []
        # Where `go` is cleared, a transaction that has begun waits.
        self.begun, self.go = threading.Event(), threading.Event()
        self.go.set()

    def write(self, changes: Iterable[Change]) -> None:
        self.begun.set()
        self.go.wait(10)
        if self.errors:
            raise self.errors.pop(0)
        self.transactions.append(list(changes))
        super().write(self.transactions[-1])


@pytest.fixture
def database(tmp_path: Path) -> Telling:
    return Telling(tmp_path)


@pytest.fixture
def background() -> BackgroundTasks:
    return BackgroundTasks()


@pytest.fixture
def queue(database: Telling, background: BackgroundTasks) -> Iterator[CommitQueue]:
    queue = CommitQueue(Store(database), background)
    yield queue
    for salvage in queue.salvages:
        salvage.stop()
    queue.database.close()


def ban(network: Network = ONE, **more: object) -> Ban:
    return Ban(network, "smtp", 1.0, None, "log", "why", 2)._replace(**more)  # type: ignore[arg-type]


def at(offset: int, content: int = 0, path: str = "/x.log") -> Position:
    return Position(path, 7, offset, b"head", b"tail", content)


async def test_one_transaction_takes_changes_and_positions(queue: CommitQueue, database: Telling) -> None:
    queue.add([ban()])
    queue.reached(at(10))
    queue.add([ban(TWO)])
    queue.reached(at(20))
    assert await queue.commit() is None
    assert database.transactions == [[ban(), ban(TWO), at(20)]]
    assert (database.bans(), database.positions()) == ([ban(), ban(TWO)], {"/x.log": [at(20)]})


async def test_where_nothing_was_noted_nothing_is_written(queue: CommitQueue, database: Telling) -> None:
    await queue.commit()
    assert database.transactions == []
    assert not queue.behind


async def test_of_a_batch_only_what_must_survive_is_noted(queue: CommitQueue, database: Telling) -> None:
    kept = (
        Failure("imap", ONE, 1.0, "line"),
        ban(),
        Extended(ban(until=9.0)),
        FailuresCleared("smtp", TWO),
        Unban(ONE, "smtp", 9.0, "expired"),
    )
    others = (
        Match("smtp", "203.0.113.1", 1.0, "line"),
        Refused("203.0.113.1", "smtp", 1.0, "ignored"),
        Failure("smtp", ONE, 1.0, "line", kept=False),
    )
    queue.handle(Batch((*others, *kept)))
    await queue.commit()
    assert database.transactions == [list(kept)]


async def test_a_failure_that_no_longer_counts_is_not_written(queue: CommitQueue, database: Telling) -> None:
    counts = Failure("smtp", TWO, 3.0, "line")
    queue.handle(Batch((Failure("smtp", ONE, 1.0, "line"), Failure("smtp", TWO, 1.0, "line"), ban())))
    queue.handle(Batch((FailuresCleared("smtp", TWO), counts)))
    await queue.commit()
    assert database.transactions == [[ban(), FailuresCleared("smtp", TWO), counts]]


async def test_a_hook_is_called_behind_the_commit_of_what_was_noted_before(
    queue: CommitQueue, database: Telling, background: BackgroundTasks
) -> None:
    seen: list[list[Ban]] = []
    queue.add([ban()])
    queue.after_commit(lambda: seen.append(database.bans()))
    assert seen == []
    await background.settled()
    assert seen == [[ban()]]


async def test_what_is_noted_during_a_commit_waits_for_the_next_one_and_so_does_its_hook(
    queue: CommitQueue, database: Telling, background: BackgroundTasks
) -> None:
    seen: list[list[Ban]] = []
    database.go.clear()
    queue.add([ban()])
    first = asyncio.create_task(queue.commit())
    await asyncio.to_thread(database.begun.wait, 10)
    queue.add([ban(TWO)])
    queue.after_commit(lambda: seen.append(database.bans()))
    assert seen == []
    database.go.set()
    await first
    await background.settled()
    assert (database.transactions, seen) == ([[ban()], [ban(TWO)]], [[ban(), ban(TWO)]])


async def test_a_hook_is_called_once_and_also_where_the_write_fails(
    queue: CommitQueue, database: Telling, background: BackgroundTasks
) -> None:
    called: list[bool] = []
    database.errors = [FULL]
    queue.add([ban()])
    queue.after_commit(lambda: called.append(queue.behind))
    await background.settled()
    assert called == [True]
    await queue.commit()
    assert called == [True]


async def test_what_could_not_be_written_is_written_first_and_in_order(
    queue: CommitQueue, database: Telling, caplog: pytest.LogCaptureFixture
) -> None:
    database.errors = [FULL, FULL]
    queue.add([ban(until=5.0)])
    queue.reached(at(10))
    queue.reached(at(1, content=1))
    with caplog.at_level(logging.ERROR, "zmban.store"):
        assert await queue.commit() == "the disk is full"
        queue.add([Unban(ONE, "smtp", 5.0, "expired")])
        queue.reached(at(20))
        assert await queue.commit() == "the disk is full"
    assert queue.failing == "the disk is full"
    assert len(caplog.messages) == 1
    assert await queue.commit() is None
    assert queue.failing is None
    unban = Unban(ONE, "smtp", 5.0, "expired")
    assert database.transactions == [[ban(until=5.0), unban, at(1, content=1), at(20)]]


async def test_a_position_that_could_not_be_written_takes_no_newer_one_s_place(
    queue: CommitQueue, database: Telling
) -> None:
    database.errors = [FULL]
    queue.reached(at(10))
    database.go.clear()
    failing = asyncio.create_task(queue.commit())
    await asyncio.to_thread(database.begun.wait, 10)
    queue.reached(at(20))
    database.go.set()
    await failing
    await queue.commit()
    assert database.transactions == [[at(20)]]


async def test_positions_are_told_newest_first_whether_written_or_not(
    tmp_path: Path, background: BackgroundTasks
) -> None:
    database = Telling(tmp_path)
    database.write([at(10, 1), at(20, 2)])
    queue = CommitQueue(Store(database), background)
    assert queue.positions() == {"/x.log": [at(20, 2), at(10, 1)]}
    queue.reached(at(11, 1))
    queue.reached(at(5, 0, "/y.log"))
    assert queue.positions() == {"/y.log": [at(5, 0, "/y.log")], "/x.log": [at(11, 1), at(20, 2)]}
    queue.database.close()


async def test_the_pause_grows_while_a_commit_fails_and_is_short_again_behind_it(
    queue: CommitQueue, database: Telling
) -> None:
    database.errors = [FULL] * 5
    queue.add([ban()])
    assert [await queue.commit_again() for _ in range(6)] == [1.0, 2.0, 4.0, 4.0, 4.0, 0.5]
    assert await queue.commit_again() == 0.5


async def test_a_stop_in_the_middle_of_a_commit_waits_for_its_end(
    queue: CommitQueue, database: Telling
) -> None:
    database.go.clear()
    queue.add([ban()])
    commit = asyncio.create_task(queue.commit())
    await asyncio.to_thread(database.begun.wait, 10)
    commit.cancel()
    await asyncio.sleep(0.02)
    assert not commit.done()
    database.go.set()
    with pytest.raises(asyncio.CancelledError):
        await commit
    assert (database.bans(), queue.behind) == ([ban()], False)


async def test_readers_wait_while_too_much_is_unwritten(
    queue: CommitQueue, database: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 2)
    monkeypatch.setattr(module, "_EVERY_SECONDS", (0.01, 0.01))
    queue.add([ban()] * 2)
    async with asyncio.timeout(1):
        await queue.room()
    queue.add([ban(TWO)])
    room = asyncio.create_task(queue.room())
    await asyncio.sleep(0.05)
    assert not room.done()
    await queue.commit()
    async with asyncio.timeout(1):
        await room


async def test_a_damaged_database_is_replaced_by_what_memory_knows(
    queue: CommitQueue, database: Telling, tmp_path: Path
) -> None:
    evidence = ban(evidence=("line",))
    past = HistoryEntry(ban(THREE, until=5.0), 5.0, "imported")
    queue.snapshot_from(lambda: [ban(), ban(TWO)])
    queue.reached(at(10))
    await queue.commit()
    database.errors = [DamagedError("a page is no page")]
    # The ban is part of the snapshot; its lines and the ban that is only counted are not.
    queue.add([evidence, past])
    assert await queue.commit() is None
    assert queue.database is not database
    assert queue.database.bans() == [evidence, ban(TWO)]
    assert queue.database.positions() == {"/x.log": [at(10)]}
    assert list(queue.database.history([(THREE, "smtp")])) == [(THREE, "smtp")]
    assert not queue.behind
    assert len(damage.aside(tmp_path / FILE)) == 1
    assert [salvage.path for salvage in queue.salvages] == damage.aside(tmp_path / FILE)
    queue.add([ban(THREE)])
    assert await queue.commit() is None
    assert queue.database.bans() == [evidence, ban(TWO), ban(THREE)]


async def test_a_hook_is_called_behind_the_new_database_too(
    queue: CommitQueue, database: Telling, background: BackgroundTasks
) -> None:
    seen: list[list[Ban]] = []
    queue.snapshot_from(lambda: [ban()])
    database.errors = [DamagedError("a page is no page")]
    queue.add([ban()])
    queue.after_commit(lambda: seen.append(queue.database.bans()))
    await background.settled()
    assert seen == [[ban()]]


async def test_what_lies_in_memory_is_written_to_disk_as_soon_as_that_works(
    tmp_path: Path, background: BackgroundTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Database(tmp_path, memory=True)
    queue = CommitQueue(Store(memory, "no space; held in memory"), background)
    monkeypatch.setattr(module, "_RETURN_SECONDS", 3600.0)
    queue._tried = time.monotonic()
    queue.add([ban()])
    assert await queue.commit() == "no space; held in memory"
    monkeypatch.setattr(module, "_RETURN_SECONDS", 0.0)
    assert await queue.commit() is None
    assert queue.failing is None
    assert not queue.database.memory
    assert queue.database.bans() == [ban()]
    queue.database.close()


async def test_evidence_that_is_noted_behind_its_ban_is_written_with_it(
    queue: CommitQueue, database: Telling
) -> None:
    queue.add([ban(), EvidenceLines(ONE, "smtp", ("line",))])
    await queue.commit()
    assert database.bans() == [ban(evidence=("line",))]
