"""Upkeep of the database while the service runs: commits go on, space comes back, a backup is complete."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar.app.background import BackgroundTasks
from sidecar.app.persist import upkeep as module
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.persist.recovery import Store
from sidecar.app.persist.upkeep import DatabaseUpkeep
from sidecar.model import Ban, Failure, Position, StoreError, Unban
from sidecar.network import Network
from sidecar.serve.metrics import Metrics
from sidecar.store.changes import HistoryEntry
from sidecar.store.database import FILE, MOST_LOG, DamagedError, Database, connect
from sidecar.store.upkeep import online_copy, retention, space
from sidecar.store.upkeep.online_copy import OnlineCopy
from sidecar.store.upkeep.retention import MOST_FILES, Limits
from tests.store.damaging import LINE

BANS = [Ban(Network(4, n, 32), "smtp", 1.0, None, "log", "why", 2, (LINE,) * 3) for n in range(6000)]
WHO = Network.parse("203.0.113.7")
NEW = Ban(WHO, "smtp", 1.0, None, "log", "why", 2)
KEEP_ALL = Limits({"smtp": 0.0})


class Kept:
    """A queue with the database of a state directory, and its upkeep."""

    def __init__(self, store: Store) -> None:
        self.metrics = Metrics()
        self.queue = CommitQueue(store, BackgroundTasks())
        self.upkeep = DatabaseUpkeep(self.queue, self.metrics)

    async def write(self, *changes: Any) -> None:
        self.queue.add(changes)
        assert await self.queue.commit() is None

    def restored(self, backup: Path, state: Path) -> Database:
        """The database of a service that is given this backup."""
        state.mkdir()
        shutil.copy(backup, state / FILE)
        return Database(state)


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    kept = Kept(Store(Database(tmp_path / "state")))
    await kept.write(*BANS)
    yield kept
    for salvage in kept.queue.salvages:
        salvage.stop()
    kept.queue.database.close()


async def test_what_is_not_needed_is_deleted_and_the_figures_tell_of_the_rest(kept: Kept) -> None:
    failures = [Failure("smtp", WHO, at, "x") for at in (1.0, 9.0)]
    ended = [HistoryEntry(NEW._replace(at=at), at, "expired") for at in (1.0, 2.0, 3.0)]
    await kept.write(*failures, *ended)
    await kept.upkeep.prune(Limits({"smtp": 5.0}, history=1.0))
    assert list(kept.queue.database.failures()) == failures[1:]
    assert retention.history_rows(kept.queue.database) == 2
    assert kept.metrics.registry.get_sample_value("zmban_database_history_rows") == 2


async def test_the_oldest_contents_of_a_log_are_forgotten_in_memory_and_in_the_database(kept: Kept) -> None:
    for content in range(MOST_FILES + 2):
        kept.queue.reached(Position("/x", 7, 1, b"h", b"t", content))
    await kept.queue.commit()
    await kept.upkeep.prune(KEEP_ALL)
    for positions in (kept.queue.positions(), kept.queue.database.positions()):
        assert [one.content for one in positions["/x"]] == list(range(MOST_FILES + 1, 1, -1))


async def test_commits_come_between_the_slices_of_a_long_upkeep(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SLICE", 10)
    await kept.write(*(Failure("smtp", WHO, 1.0, "x") for _ in range(500)))
    work = asyncio.create_task(kept.upkeep.prune(Limits({"smtp": 1.0})))
    left = []
    while not work.done():
        await kept.write(Failure("web", WHO, 1e9, "y"))
        left.append(sum(one.jail == "smtp" for one in kept.queue.database.failures()))
        await asyncio.sleep(0.01)
    await work
    # Seen in many states from full to empty, each after a commit.
    assert len({number for number in left if 0 < number < 500}) > 10
    assert not any(one.jail == "smtp" for one in kept.queue.database.failures())


async def test_a_burst_gives_back_all_its_space_in_one_run(kept: Kept) -> None:
    await kept.upkeep.compact()
    before = kept.queue.database.bytes()
    burst = [
        Ban(Network(4, 1 << 30 | n, 32), "smtp", 1.0, 2.0, "log", "why", 2, (LINE,) * 9)
        for n in range(12_000)
    ]
    await kept.write(*burst)
    assert kept.queue.database.bytes() > before * 2 + 4 * MOST_LOG
    await kept.write(*(Unban(ban.network, ban.jail, 2.0, "expired") for ban in burst))
    await kept.upkeep.prune(Limits({}, history=5.0))
    assert kept.queue.database.bytes() < before * 1.2
    assert kept.upkeep.failing is None


async def test_pages_that_are_half_empty_are_compacted_without_being_asked_for(kept: Kept) -> None:
    await kept.upkeep.compact()
    before = kept.queue.database.bytes()
    await kept.write(*(Unban(ban.network, ban.jail, 2.0, "expired") for ban in BANS[::2]))
    await kept.upkeep.prune(Limits({}, history=5.0))
    assert kept.queue.database.bytes() < before * 0.6
    assert kept.queue.database.bans() == BANS[1::2]


async def test_a_compaction_that_would_last_long_is_given_up_and_not_tried_again_soon(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_LONGEST", 1e-9)
    await kept.write(*(Unban(ban.network, ban.jail, 2.0, "expired") for ban in BANS[::2]))
    for _ in range(2):
        await kept.upkeep.prune(Limits({}, history=5.0))
    assert [text for text in caplog.messages if "zmban compact does it" in text] == caplog.messages[:1]
    assert len(caplog.messages) == 1
    assert kept.upkeep.failing is None
    before = kept.queue.database.bytes()
    answer = await kept.upkeep.compact()
    assert before == answer["before"] > answer["after"] == kept.queue.database.bytes()


async def test_during_a_compaction_changes_are_noted_and_committed_behind_it(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    compact = space.compact

    def slow(*arguments: Any) -> None:
        begun.set()
        go.wait(10)
        compact(*arguments)

    monkeypatch.setattr(space, "compact", slow)
    work = asyncio.create_task(kept.upkeep.compact())
    await asyncio.to_thread(begun.wait, 10)
    assert kept.upkeep.compacting
    kept.queue.add([NEW])
    commit = asyncio.create_task(kept.queue.commit())
    # Reading goes on.
    assert await asyncio.to_thread(kept.queue.database.bans) == BANS
    assert not commit.done()
    go.set()
    await work
    assert await commit is None
    assert kept.queue.database.bans() == [*BANS, NEW]
    assert not kept.upkeep.compacting


async def test_a_stop_interrupts_a_compaction(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()
    stopped: list[bool] = []

    def endless(_: Database, stop: Any, __: float) -> None:
        begun.set()
        while not stop():
            pass
        stopped.append(True)
        raise space.InterruptedCompactionError("stopped")

    monkeypatch.setattr(space, "compact", endless)
    work = asyncio.create_task(kept.upkeep.compact())
    await asyncio.to_thread(begun.wait, 10)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert stopped == [True]
    await kept.write(NEW)


async def test_an_upkeep_that_fails_says_so_until_it_works_again(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(retention, "delete_old_positions", full)
        await kept.upkeep.prune(KEEP_ALL)
    assert kept.upkeep.failing == "the disk is full"
    assert "upkeep of the database: the disk is full" in caplog.text
    await kept.upkeep.prune(KEEP_ALL)
    assert kept.upkeep.failing is None


async def test_a_database_that_proves_damaged_during_the_upkeep_is_replaced(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def damaged(_: Database) -> None:
        raise DamagedError("a page is no page")

    kept.queue.snapshot_from(lambda: [NEW])
    before = kept.queue.database
    with monkeypatch.context() as patch, caplog.at_level(logging.CRITICAL):
        patch.setattr(retention, "delete_old_positions", damaged)
        await kept.upkeep.prune(KEEP_ALL)
    assert kept.queue.database is not before
    assert kept.queue.database.bans() == [NEW]
    await kept.write(NEW._replace(jail="web"))


async def test_a_backup_has_everything_that_was_noted_before_it(kept: Kept, tmp_path: Path) -> None:
    kept.queue.add([NEW])
    kept.queue.reached(Position("/x", 7, 1, b"h", b"t"))
    answer = await kept.upkeep.backup(tmp_path / "backup", force=False)
    assert (answer["bans"], answer["history"], answer["warnings"]) == (len(BANS) + 1, 0, [])
    assert answer["bytes"] == (tmp_path / "backup").stat().st_size
    with contextlib.closing(kept.restored(tmp_path / "backup", tmp_path / "other")) as restored:
        assert restored.bans() == [*BANS, NEW]
        assert list(restored.positions()) == ["/x"]


async def test_the_log_that_grew_during_a_backup_is_short_afterwards(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, database, lengths = OnlineCopy._copy, kept.queue.database, list[int]()

    def while_others_write(self: OnlineCopy, *arguments: Any) -> None:
        for _ in range(4):
            database.write(BANS)
        lengths.append(database.log_bytes())
        copy(self, *arguments)

    monkeypatch.setattr(OnlineCopy, "_copy", while_others_write)
    assert (await kept.upkeep.backup(tmp_path / "backup", force=False))["bans"] == len(BANS)
    assert lengths[0] > 2 * MOST_LOG
    assert database.log_bytes() == 0


async def test_on_a_full_disk_a_backup_elsewhere_has_what_could_not_be_saved(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(kept.queue.database, "write", full)
    kept.queue.add([NEW])
    kept.queue.reached(Position("/x", 7, 1, b"h", b"t"))
    answer = await kept.upkeep.backup(tmp_path / "backup", force=False)
    assert answer["bans"] == len(BANS) + 1
    (warning,) = answer["warnings"]
    assert warning == "the service cannot save its decisions (the disk is full); the backup contains them"
    with contextlib.closing(kept.restored(tmp_path / "backup", tmp_path / "other")) as restored:
        assert restored.bans() == [*BANS, NEW]
        assert list(restored.positions()) == ["/x"]
    monkeypatch.undo()
    assert await kept.queue.commit() is None
    assert kept.queue.database.bans() == [*BANS, NEW]


async def test_decisions_that_are_in_memory_only_are_backed_up_with_a_warning(tmp_path: Path) -> None:
    memory = Database(tmp_path / "state", memory=True)
    kept = Kept(Store(memory, "no space; held in memory", unread=True))
    kept.queue._tried = float("inf")
    kept.queue.add(BANS)
    answer = await kept.upkeep.backup(tmp_path / "backup", force=False)
    assert [text.split()[0:3] for text in answer["warnings"]] == [
        ["the", "service", "cannot"], ["the", "database", "could"],
    ]  # fmt: skip
    with contextlib.closing(kept.restored(tmp_path / "backup", tmp_path / "other")) as restored:
        assert restored.bans() == BANS
    await kept.upkeep.prune(KEEP_ALL)
    assert kept.upkeep.failing is None
    memory.close()


async def test_a_stop_ends_a_backup_and_leaves_nothing(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online_copy, "_PAGES", 1)
    # Each page seems to take long, so that the pauses do.
    monkeypatch.setattr(online_copy, "time", SimpleNamespace(monotonic=itertools.count().__next__))
    (tmp_path / "backups").mkdir()
    work = asyncio.create_task(kept.upkeep.backup(tmp_path / "backups/x", force=False))
    async with asyncio.timeout(10):
        while not list((tmp_path / "backups").iterdir()):
            await asyncio.sleep(0.001)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert list((tmp_path / "backups").iterdir()) == []
    await kept.write(NEW)


async def test_an_upkeep_goes_on_beside_a_reader_of_another_process(kept: Kept) -> None:
    with contextlib.closing(connect(kept.queue.database.path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT 1 FROM bans").fetchone()
        await kept.write(*(Unban(ban.network, ban.jail, 2.0, "expired") for ban in BANS[::2]))
        await kept.upkeep.prune(Limits({}, history=5.0))
        assert kept.upkeep.failing is None
        assert reader.execute("SELECT COUNT(*) FROM bans").fetchone() == (len(BANS),)
    with contextlib.closing(sqlite3.connect(kept.queue.database.path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
