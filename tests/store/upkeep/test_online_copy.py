"""A copy of the database in use: of one moment, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.model import Ban, Position, StoreError
from sidecar.network import Network
from sidecar.store.database import FILE, Database
from sidecar.store.upkeep import online_copy
from sidecar.store.upkeep.online_copy import OnlineCopy
from tests.store.damaging import LINE

BANS = [Ban(Network(4, n, 32), "a", 1.0, None, "log", "why", 2, (LINE,) * 3) for n in range(5000)]
LATER = Ban(Network.parse("203.0.113.7"), "a", 1.0, None, "log", "why", 2)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "state")
    database.write(BANS)
    yield database
    database.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups"


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def bans(file: Path, place: Path) -> list[Ban]:
    """The bans of a copy, restored in another state directory."""
    (place / "restored").mkdir()
    shutil.copy(file, place / "restored" / FILE)
    with contextlib.closing(Database(place / "restored")) as restored:
        return restored.bans()


def copied(database: Database, target: Path, *, force: bool = False) -> dict[str, int]:
    copy = OnlineCopy(database.path, target, force=force)
    copy.begin()
    return copy.complete()


def test_a_copy_is_one_file_of_one_moment_for_the_owner_only(
    database: Database, place: Path, tmp_path: Path
) -> None:
    copy = OnlineCopy(database.path, place / "x")
    copy.begin()
    database.write([LATER])
    assert names(place) == []
    size = (place / "x").stat().st_size if copy.complete()["bans"] == len(BANS) else 0
    assert names(place) == ["x"]
    assert (place / "x").stat().st_mode & 0o777 == 0o600
    assert size > 1 << 20
    assert bans(place / "x", tmp_path) == BANS
    assert database.bans() == [*BANS, LATER]


def test_commits_go_on_during_the_copy_and_are_not_in_it(
    database: Database, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online_copy, "_PAGES", 8)
    monkeypatch.setattr(online_copy, "_LONGEST_PAUSE", 0.002)
    ended, written = threading.Event(), list[Ban]()

    def write() -> None:
        while not ended.is_set():
            written.append(Ban(Network(4, 1 << 30 | len(written), 32), "b", 1.0, None, "log", "why", 2))
            database.write(written[-1:])

    copy = OnlineCopy(database.path, place / "x")
    copy.begin()
    thread = threading.Thread(target=write)
    thread.start()
    copy.complete()
    ended.set()
    thread.join()
    assert len(written) > 20
    assert bans(place / "x", tmp_path) == BANS
    assert len(database.bans()) == len(BANS) + len(written)


def test_what_could_not_be_committed_is_written_into_the_copy(
    database: Database, place: Path, tmp_path: Path
) -> None:
    copy = OnlineCopy(database.path, place / "x")
    copy.begin()
    assert copy.complete([LATER, Position("/x", 7, 1, b"h", b"t")])["bans"] == len(BANS) + 1
    assert names(place) == ["x"]
    assert bans(place / "x", tmp_path) == [*BANS, LATER]


def test_a_database_in_memory_is_copied_and_can_be_restored(tmp_path: Path, place: Path) -> None:
    with contextlib.closing(Database(tmp_path / "state", memory=True)) as memory:
        memory.write(BANS)
        copy = OnlineCopy(memory.path, place / "x")
        copy.begin(memory)
        memory.write([LATER])
        copy.complete()
    assert bans(place / "x", tmp_path) == BANS
    with contextlib.closing(Database(place, name="x")) as restored, restored.connection() as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA auto_vacuum").fetchone() == (2,)


def test_only_force_overwrites_a_file(database: Database, place: Path) -> None:
    (place / "x").write_text("mine")
    with pytest.raises(StoreError, match="already exists; --force overwrites it"):
        copied(database, place / "x")
    assert (place / "x").read_text() == "mine"
    copied(database, place / "x", force=True)
    assert (place / "x").read_bytes().startswith(b"SQLite format 3")


def test_a_file_that_appears_during_the_copy_is_not_overwritten(database: Database, place: Path) -> None:
    copy = OnlineCopy(database.path, place / "x")
    copy.begin()
    (place / "x").write_text("mine")
    with pytest.raises(StoreError, match="already exists"):
        copy.complete()
    assert (names(place), (place / "x").read_text()) == (["x"], "mine")


@pytest.mark.parametrize(
    "name",
    [
        FILE,
        f"{FILE}-wal",
        f"{FILE}-shm",
        f"{FILE}-journal",
        f"{FILE}.new",
        f"{FILE}.damaged-20260101T000000Z",
    ],
)
def test_the_database_in_use_is_no_target_under_any_name(
    database: Database, tmp_path: Path, name: str
) -> None:
    with pytest.raises(StoreError, match="belongs to the database in use"):
        OnlineCopy(database.path, tmp_path / "state" / name, force=True)
    (tmp_path / "link").symlink_to(tmp_path / "state")
    with pytest.raises(StoreError, match="belongs to the database in use"):
        OnlineCopy(database.path, tmp_path / "link" / name, force=True)
    (tmp_path / "hard").hardlink_to(database.path)
    with pytest.raises(StoreError, match="belongs to the database in use"):
        OnlineCopy(database.path, tmp_path / "hard", force=True)
    assert database.bans() == BANS


def test_only_a_regular_file_in_a_directory_is_a_target(database: Database, place: Path) -> None:
    (place / "directory").mkdir()
    (place / "link").symlink_to(place / "nowhere")
    os.mkfifo(place / "fifo")
    for name in ("directory", "link", "fifo"):
        with pytest.raises(StoreError, match="is not a regular file"):
            OnlineCopy(database.path, place / name, force=True)
    with pytest.raises(StoreError, match="nowhere/deep is not a directory"):
        OnlineCopy(database.path, place / "nowhere/deep/x")
    with pytest.raises(StoreError, match="null byte"):
        copied(database, place / "a\0b")
    with pytest.raises(StoreError, match="File name too long"):
        copied(database, place / ("x" * 252))
    assert names(place) == ["directory", "fifo", "link"]


def test_beside_the_database_another_name_is_a_target(database: Database, tmp_path: Path) -> None:
    copied(database, tmp_path / "state" / f"{FILE}.bak")
    assert bans(tmp_path / "state" / f"{FILE}.bak", tmp_path) == BANS


def test_what_a_killed_backup_left_is_replaced(database: Database, place: Path, tmp_path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        (place / f".x.new{suffix}").write_bytes(b"half" * 5000)
    copied(database, place / "x")
    assert names(place) == ["x"]
    assert bans(place / "x", tmp_path) == BANS


def test_a_copy_that_is_stopped_leaves_nothing(
    database: Database, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = OnlineCopy(database.path, place / "x")
    copy.begin()
    copy.stop()
    with pytest.raises(StoreError, match="stopped"):
        copy.complete()
    assert names(place) == []
    with contextlib.closing(Database(place, memory=True)) as memory:
        memory.write(BANS)
        copy = OnlineCopy(memory.path, place / "x")
        copy.stop()
        with pytest.raises(StoreError, match="stopped"):
            copy.begin(memory)
    assert names(place) == []


def test_a_copy_of_a_damaged_database_is_no_backup(database: Database, place: Path) -> None:
    database.close()
    content = bytearray(database.path.read_bytes())
    content[40 * 4096 : 60 * 4096] = os.urandom(20 * 4096)
    database.path.write_bytes(content)
    with pytest.raises(StoreError, match=r"is damaged, so there is no backup|malformed"):
        copied(database, place / "x")
    assert names(place) == []


def test_two_copies_into_one_file_do_not_mix(database: Database, place: Path, tmp_path: Path) -> None:
    one, other = (OnlineCopy(database.path, place / "x", force=True) for _ in range(2))
    one.begin()
    other.begin()
    checked = other._checked

    def meanwhile() -> dict[str, int]:
        other._checked = checked  # type: ignore[method-assign]
        return checked()

    # The second one begins its file while the first one checks its own.
    def second() -> dict[str, int]:
        other.complete()
        return meanwhile()

    one._checked = second  # type: ignore[method-assign]
    with pytest.raises(StoreError):
        one.complete()
    assert names(place) == ["x"]
    assert bans(place / "x", tmp_path) == BANS


def test_a_database_that_is_not_there_is_named(tmp_path: Path, place: Path) -> None:
    with pytest.raises(StoreError, match="unable to open database file"):
        OnlineCopy(tmp_path / FILE, place / "x").begin()
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)):
        pass
    assert names(place) == []
