"""Unused space goes back to the disk: free pages, the write-ahead log, half-empty pages."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.model import Ban, Position, StoreError, Unban
from sidecar.network import Network
from sidecar.store.database import MOST_LOG, Database, connect
from sidecar.store.upkeep import space
from tests.store.damaging import LINE

BANS = [Ban(Network(4, n, 32), "a", 1.0, None, "log", "why", 2, (LINE,) * 3) for n in range(12_000)]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path)
    database.write(BANS)
    yield database
    database.close()


def lift(database: Database, share: float) -> list[Ban]:
    """Lift some bans at random; returns the others."""
    chance = random.Random(1)
    gone = {ban for ban in BANS if chance.random() < share}
    database.write([Unban(ban.network, "a", 9.0, "expired") for ban in gone])
    return [ban for ban in BANS if ban not in gone]


def test_free_pages_go_back_to_the_disk_in_short_steps(database: Database) -> None:
    database.write([Unban(ban.network, "a", 9.0, "dry") for ban in BANS])
    with database.transaction() as db:
        db.execute("DELETE FROM history")
    full, steps = pages(database), 1
    while space.give_back(database):
        assert full - pages(database) <= steps * 520
        steps += 1
    assert steps > 2
    assert pages(database) < 40
    assert not space.give_back(database)


def pages(database: Database) -> int:
    with database.connection() as db:
        return int(db.execute("PRAGMA page_count").fetchone()[0])


def test_a_log_that_a_reader_kept_long_is_truncated_when_he_is_gone(database: Database) -> None:
    space.shorten_log(database)
    with contextlib.closing(connect(database.path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT 1 FROM bans").fetchone()
        for _ in range(3):
            database.write(BANS)
        long = database.log_bytes()
        assert long > MOST_LOG
        space.shorten_log(database)
        assert database.log_bytes() == long
        assert reader.execute("SELECT COUNT(*) FROM bans").fetchone() == (len(BANS),)
    space.shorten_log(database)
    assert database.log_bytes() == 0


def test_a_log_that_was_long_is_truncated_by_a_later_commit_too(database: Database) -> None:
    with contextlib.closing(connect(database.path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT 1 FROM bans").fetchone()
        for _ in range(3):
            database.write(BANS)
    assert database.log_bytes() > MOST_LOG
    for _ in range(3):
        database.write(BANS[:1])
    assert database.log_bytes() <= MOST_LOG


def test_a_compaction_removes_what_is_half_empty_and_changes_no_row(database: Database) -> None:
    rest = lift(database, 0.5)
    positions = [Position("/x", 7, 1, b"h", b"t", content) for content in (3, 1, 4, 2)]
    database.write([*positions, *positions[:1]])
    with database.transaction() as db:
        db.execute("DELETE FROM history")
    while space.give_back(database):
        pass
    before, wasted = database.bytes(), space.waste(database)
    inode = database.path.stat().st_ino
    assert wasted > 0.3
    space.compact(database)
    assert space.waste(database) < 0.1
    assert database.bytes() < before * 0.7
    assert database.bans() == rest
    # The content that was read last comes first.
    assert [one.content for one in database.positions()["/x"]] == [3, 2, 4, 1]
    assert database.path.stat().st_ino == inode
    # The connection that was open goes on, and free pages are still given back later.
    database.write(BANS)
    lift(database, 0.9)
    assert space.give_back(database)


def test_a_database_that_lost_its_auto_vacuum_gets_it_back(tmp_path: Path) -> None:
    with contextlib.closing(Database(tmp_path)) as database:
        database.write(BANS[:100])
    with contextlib.closing(sqlite3.connect(tmp_path / "zmban.sqlite3")) as db:
        db.executescript("PRAGMA journal_mode=DELETE; PRAGMA auto_vacuum=NONE; VACUUM")
    with contextlib.closing(Database(tmp_path)) as database:
        with database.connection() as db:
            assert db.execute("PRAGMA auto_vacuum").fetchone() == (0,)
            assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        space.compact(database)
    with contextlib.closing(Database(tmp_path)) as database, database.connection() as db:
        assert db.execute("PRAGMA auto_vacuum").fetchone() == (2,)


@pytest.mark.parametrize("how", ["stopped", "too long"])
def test_a_compaction_that_is_interrupted_changes_nothing(database: Database, how: str) -> None:
    rest, before = lift(database, 0.5), database.path.read_bytes()
    with pytest.raises(space.InterruptedCompactionError):
        space.compact(database, lambda: how == "stopped", 1e-9 if how == "too long" else 60.0)
    assert database.path.read_bytes() == before
    assert database.bans() == rest
    database.write(BANS)


def test_during_a_compaction_readers_go_on(database: Database) -> None:
    ended, seen = threading.Event(), []

    def read() -> None:
        while not ended.is_set():
            seen.append(len(database.bans()))

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(3):
        space.compact(database)
    ended.set()
    thread.join()
    assert {*seen} == {len(BANS)}


def test_without_room_for_a_second_copy_nothing_is_begun(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 0))
    monkeypatch.setattr(os, "statvfs", lambda _: usage)
    with pytest.raises(StoreError, match=r"needs \d+ MB of free space"):
        space.compact(database)
    assert not space.has_room_to_compact(database)


def test_a_database_in_memory_has_no_file_to_compact(tmp_path: Path) -> None:
    with contextlib.closing(Database(tmp_path, memory=True)) as memory:
        with pytest.raises(StoreError, match="in memory only"):
            space.compact(memory)
        space.shorten_log(memory)
        assert (memory.bytes(), memory.log_bytes()) == (0, 0)


def test_a_writer_of_another_process_delays_no_truncation(database: Database) -> None:
    database.write(BANS)
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    space.shorten_log(database)
    # SQLite would wait five seconds for the lock.
    assert time.monotonic() - begun < 4
    other.close()
