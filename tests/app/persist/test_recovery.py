"""The database in trouble: what stands in for it, and that nothing of it is thrown away."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.app.persist import recovery
from sidecar.app.persist.recovery import Store, UnreadError
from sidecar.model import Ban, Position
from sidecar.network import Network
from sidecar.store.changes import Allowed, Change, EvidenceLines, HistoryEntry
from sidecar.store.database import FILE, DamagedError, Database
from sidecar.store.repair import damage
from sidecar.store.repair.salvage import Salvage

WHO, OTHER = Network.parse("203.0.113.7"), Network.parse("203.0.113.8")
LINES = ("the line that led to it",)
FRIEND = Allowed(OTHER, 1.0, None, "a friend")
POSITION = Position("/x.log", 7, 10, b"head")


def ban(network: Network = WHO, **more: object) -> Ban:
    return Ban(network, "smtp", 1.0, None, "log", "2 failures", 2, LINES)._replace(**more)  # type: ignore[arg-type]


@contextlib.contextmanager
def database(state: Path) -> Iterator[Database]:
    found = Database(state)
    try:
        yield found
    finally:
        found.close()


def write(state: Path, *changes: Change) -> None:
    with database(state) as found:
        found.write(changes)


def damaged(state: Path) -> None:
    """A count of free pages that is wrong: all rows are whole."""
    with (state / FILE).open("r+b") as file:
        file.seek(36)
        file.write((7).to_bytes(4, "big"))


def end(store: Store) -> None:
    for salvage in store.salvages:
        salvage.stop()
    store.database.close()


def read_to_its_end(salvage: Salvage) -> list[Change]:
    found: list[Change] = []
    until = time.monotonic() + 10
    while not salvage.over:
        assert time.monotonic() < until
        found += salvage.take()
        time.sleep(0.005)
    return found


def test_a_new_database_is_told_for_the_kernel_may_know_bans(tmp_path: Path) -> None:
    store = recovery.opened(tmp_path / "state")
    assert (store.lost, store.failing, store.salvages) == ("there was no database", None, ())
    end(store)


def test_a_whole_database_is_opened_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, ban(), FRIEND)
    store = recovery.opened(tmp_path)
    assert (store.lost, store.failing, store.unread, store.salvages) == (None, None, False, ())
    assert store.database.bans() == [ban()]
    end(store)


def test_a_damaged_database_is_set_aside_and_what_can_be_read_is_in_the_new_one(tmp_path: Path) -> None:
    write(tmp_path, ban(), FRIEND, POSITION)
    damaged(tmp_path)
    store = recovery.opened(tmp_path)
    assert (store.lost, store.failing) == ("the database was damaged", None)
    assert store.database.bans() == [ban()]
    assert store.database.allowed() == [FRIEND]
    (aside,) = damage.aside(tmp_path / FILE)
    assert sqlite3.connect(aside).execute("SELECT count(*) FROM bans").fetchone() == (1,)
    end(store)
    again = recovery.opened(tmp_path)
    assert again.lost is None
    end(again)


def test_what_is_not_read_in_time_is_read_beside_and_on_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_PATIENCE", 0.0)
    write(tmp_path, ban(), FRIEND)
    damaged(tmp_path)
    end(recovery.opened(tmp_path))
    store = recovery.opened(tmp_path)
    assert store.lost is None
    (salvage,) = store.salvages
    found = read_to_its_end(salvage)
    assert FRIEND in found
    assert ban(evidence=()) in found
    salvage.unfinished.end()
    end(store)
    last = recovery.opened(tmp_path)
    assert last.salvages == ()
    end(last)


def test_where_nothing_can_be_written_a_database_in_memory_stands_in(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("a file where the directory should be", encoding="utf-8")
    store = recovery.opened(state)
    assert store.database.memory
    assert store.failing is not None
    assert "held in memory only" in store.failing
    store.database.write([ban()])
    assert store.database.bans() == [ban()]
    end(store)


def test_what_lies_in_memory_goes_to_disk_when_that_works(tmp_path: Path) -> None:
    memory = Database(tmp_path, memory=True)
    memory.write([ban(), FRIEND])
    store = recovery.returned(tmp_path, Store(memory, "no space"))
    assert (store.failing, store.database.memory) == (None, False)
    end(store)
    memory.close()
    with database(tmp_path) as found:
        assert (found.bans(), found.allowed()) == ([ban()], [FRIEND])


def test_memory_takes_the_place_of_no_database_that_could_not_be_read(tmp_path: Path) -> None:
    write(tmp_path, ban())
    memory = Database(tmp_path, memory=True)
    with pytest.raises(UnreadError, match="zmban restarts to use it"):
        recovery.returned(tmp_path, Store(memory, "denied", "could not be read", unread=True))
    memory.close()
    with database(tmp_path) as found:
        assert found.bans() == [ban()]


def test_a_damaged_file_gives_way_to_memory_and_is_set_aside(tmp_path: Path) -> None:
    write(tmp_path, ban(OTHER))
    damaged(tmp_path)
    memory = Database(tmp_path, memory=True)
    memory.write([ban()])
    store = recovery.returned(tmp_path, Store(memory, "no space"))
    assert store.database.bans() == [ban()]
    assert len(damage.aside(tmp_path / FILE)) == 1
    memory.close()
    end(store)


def test_while_running_memory_is_written_anew_and_the_file_is_asked_for_evidence_and_history_only(
    tmp_path: Path,
) -> None:
    past = HistoryEntry(ban(OTHER, until=5.0), 5.0, "expired")
    write(tmp_path, ban(), past, FRIEND)
    store = recovery.renewed(tmp_path, [ban(evidence=())], "a page is no page")
    assert (store.failing, store.lost) == (None, None)
    assert store.database.bans() == [ban(evidence=())]
    (salvage,) = store.salvages
    assert salvage.path == damage.aside(tmp_path / FILE)[0]
    kinds = {type(change) for change in read_to_its_end(salvage)}
    assert kinds == {HistoryEntry, EvidenceLines}
    end(store)


def test_a_kill_between_the_two_names_of_a_new_database_loses_nothing(tmp_path: Path) -> None:
    write(tmp_path, ban())
    with database(tmp_path) as found:
        found._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (tmp_path / FILE).rename(tmp_path / f"{FILE}.new")
    store = recovery.opened(tmp_path)
    assert (store.lost, store.database.bans()) == (None, [ban()])
    end(store)


def test_what_an_earlier_attempt_left_half_made_is_no_part_of_a_new_database(tmp_path: Path) -> None:
    write(tmp_path, ban())
    (tmp_path / f"{FILE}.new").write_bytes(os.urandom(5000))
    store = recovery.replaced(tmp_path, DamagedError("a page is no page"))
    assert store.database.bans() == [ban()]
    assert not (tmp_path / f"{FILE}.new").exists()
    end(store)
