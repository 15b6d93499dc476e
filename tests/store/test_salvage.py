"""Detection and salvage of a damaged database."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.model import Ban, Failure, Position
from sidecar.network import Network
from sidecar.store.database import FILE, Allowed, Change, DamagedError, Database, HistoryEntry, Zone
from sidecar.store.repair import damage
from sidecar.store.repair.salvage import Salvage, Salvaged

PAGE, PATIENCE = 4096, 60.0
FIRST = Network.parse("198.18.0.0").value
BANS = [
    Ban(Network(4, FIRST + n, 32), "smtp", float(n), None, "log", "why", 2, (f"line ü {n} " * 9,), 3)
    for n in range(400)
]
PAST = [HistoryEntry(ban, ban.at + 5.0, "expired") for ban in BANS[:100]]
FAILURES = [Failure("smtp", Network(6, n << 64, 64), float(n), f"failure {n}") for n in range(300)]
REST: list[Change] = [
    Allowed(BANS[0].network, 1.0, None, "a friend"),
    Zone("/log", 3600.0),
    Position("/log", 1, 10, b"head", b"tail", 1),
    Position("/log", 2, 20, b"head", b"tail", 2),
]


def bare(ban: Ban) -> Ban:
    """A ban without evidence, which is stored separately."""
    return ban._replace(evidence=())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database of many pages, closed."""
    database = Database(tmp_path)
    database.write([*BANS, *PAST, *FAILURES, *REST])
    database.close()
    return tmp_path / FILE


def overwrite(file: Path, place: int, length: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(place)
        opened.write(random.Random(place).randbytes(length))


def checked(file: Path) -> None:
    database = Database(file.parent)
    try:
        database.check()
        list(database.bans())
    finally:
        database.close()


def salvaged(file: Path) -> tuple[Database, Salvaged]:
    new, salvage = Database(file.parent, memory=True), Salvage(file)
    new.write(salvage.first(PATIENCE))
    assert salvage.over
    return new, salvage.found


def test_a_whole_database_is_taken_over_row_by_row(file: Path) -> None:
    checked(file)
    new, found = salvaged(file)
    assert found.broken == {}
    assert list(new.bans()) == BANS
    assert list(new.failures()) == FAILURES
    assert [p.inode for p in new.positions()["/log"]] == [2, 1]
    assert [*new.allowed()] == REST[:1]
    assert new.zones() == {"/log": 3600.0}
    assert sum(1 for _ in new.counts()) == len(BANS)
    new.close()


@pytest.mark.parametrize("length", [16, 100, PAGE])
def test_without_its_first_page_all_of_it_is_read(file: Path, length: int) -> None:
    overwrite(file, 0, length)
    with pytest.raises(DamagedError, match="not a database"):
        Database(file.parent)
    new, found = salvaged(file)
    assert list(new.bans()) == BANS
    assert list(new.failures()) == FAILURES
    assert found.broken == {}
    new.close()


def test_a_page_in_the_middle_costs_the_rows_on_it_and_no_others(file: Path) -> None:
    pages = file.stat().st_size // PAGE
    whole = file.read_bytes()
    least = len(BANS)
    for page in range(1, pages):
        overwrite(file, page * PAGE, PAGE)
        with pytest.raises(DamagedError):
            checked(file)
        new, found = salvaged(file)
        saved = list(new.bans())
        assert {bare(ban) for ban in saved} <= {bare(ban) for ban in BANS}
        assert {ban for ban in saved if ban.evidence} <= set(BANS)
        least = min(least, len(saved))
        if found.broken.keys() & {"failures", "positions"}:
            # The logs are read again.
            assert (list(new.failures()), new.positions()) == ([], {})
        else:
            assert list(new.failures()) == FAILURES
        if "bans" not in found.broken:
            assert [bare(ban) for ban in saved] == [bare(ban) for ban in BANS]
            assert "evidence" in found.broken or saved == BANS
        elif saved:
            # A leaf page holds some rows; those on later pages were found.
            assert len(saved) > len(BANS) - 150
        new.close()
        file.write_bytes(whole)
    assert 0 <= least < len(BANS)


@pytest.mark.parametrize("part", [0.05, 0.3, 0.5, 0.9, 0.999])
def test_of_a_truncated_file_the_pages_that_are_left_are_read(file: Path, part: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(DamagedError):
        checked(file)
    new, _ = salvaged(file)
    saved = list(new.bans())
    assert {bare(ban) for ban in saved} <= {bare(ban) for ban in BANS}
    assert part < 0.9 or saved
    new.close()


def in_the_log(state: Path) -> tuple[Path, Database]:
    """An open database whose last bans are only in the write-ahead log, as after a kill."""
    database = Database(state)
    database.write(BANS[:10])
    database._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for ban in BANS[10:20]:
        database.write([ban])
    return state / FILE, database


def copied(file: Path, to: Path) -> Path:
    to.mkdir()
    for name in (file.name, f"{file.name}-wal"):
        (to / name).write_bytes((file.parent / name).read_bytes())
    return to / file.name


def test_what_is_in_the_write_ahead_log_only_is_read_too(tmp_path: Path) -> None:
    file, database = in_the_log(tmp_path / "a")
    copy = copied(file, tmp_path / "b")
    database.close()
    new, found = salvaged(copy)
    assert list(new.bans()) == BANS[:20]
    assert found.broken == {}
    new.close()
    checked(copy)


@pytest.mark.parametrize("cut", [lambda size: 8, lambda size: size // 2])
def test_a_write_ahead_log_that_is_damaged_is_found_out(tmp_path: Path, cut: Callable[[int], int]) -> None:
    file, database = in_the_log(tmp_path / "a")
    copy = copied(file, tmp_path / "b")
    database.close()
    log = copy.with_name(f"{FILE}-wal")
    overwrite(log, cut(log.stat().st_size), 8)
    with pytest.raises(DamagedError, match="write-ahead log"):
        Database(copy.parent)
    new, _ = salvaged(copy)
    saved = list(new.bans())
    assert saved == BANS[: len(saved)]
    assert len(saved) >= 10
    new.close()


def test_a_kill_in_the_middle_of_a_write_is_no_damage(tmp_path: Path) -> None:
    file, database = in_the_log(tmp_path / "a")
    log = file.with_name(f"{FILE}-wal")
    size = log.stat().st_size
    database.write(BANS[20:100])
    copy = copied(file, tmp_path / "b")
    database.close()
    log = copy.with_name(f"{FILE}-wal")
    log.write_bytes(log.read_bytes()[: size + PAGE + 100])
    checked(copy)
    again = Database(copy.parent)
    assert list(again.bans()) == BANS[:20]
    again.close()


def test_a_file_cut_to_nothing_before_its_log_is_no_new_database(tmp_path: Path) -> None:
    file, database = in_the_log(tmp_path / "a")
    copy = copied(file, tmp_path / "b")
    database.close()
    copy.write_bytes(b"")
    with pytest.raises(DamagedError, match="the file is empty, but its write-ahead log is not"):
        Database(copy.parent)
    assert copy.with_name(f"{FILE}-wal").stat().st_size > 0


def test_rows_that_make_no_sense_are_left_out(file: Path) -> None:
    db = sqlite3.connect(file)
    db.execute("UPDATE evidence SET lines='[' WHERE ban=(SELECT id FROM bans WHERE at=7)")
    db.execute("UPDATE bans SET network=x'0420' WHERE at=8")
    db.execute("UPDATE bans SET until='never' WHERE at=9")
    db.commit()
    db.close()
    with pytest.raises(DamagedError, match="invalid row"):
        checked(file)
    new, found = salvaged(file)
    left = [bare(ban) if ban.at == 7 else ban for ban in BANS if ban.at not in (8, 9)]
    assert list(new.bans()) == left
    assert found.broken.keys() == {"bans", "evidence"}
    new.close()


@pytest.mark.parametrize(
    "wrong", ["failures=-63", "count=99999999999", "at='soon'", "network=x'0720c6120001'", "origin='moon'"]
)
def test_a_row_that_would_break_a_start_is_found_out_before(file: Path, wrong: str) -> None:
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute(f"UPDATE bans SET {wrong} WHERE at=7")
        db.commit()
    database = Database(file.parent)
    with pytest.raises(DamagedError, match="table bans has an invalid row"):
        database.check()
    database.close()
    new, _ = salvaged(file)
    assert list(new.bans()) == [ban for ban in BANS if ban.at != 7]
    new.close()


def test_text_that_is_no_utf_8_is_damage_and_not_repeated(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("UPDATE bans SET reason=CAST(x'1b5b33316dff' AS TEXT) WHERE at=7")
        db.commit()
    with pytest.raises(DamagedError, match="text is not UTF-8") as caught:
        checked(file)
    assert str(caught.value).isprintable()
    new, _ = salvaged(file)
    assert len(new.bans()) == len(BANS)
    new.close()


def test_what_is_set_aside_takes_its_log_along_and_only_the_newest_are_kept(tmp_path: Path) -> None:
    file = tmp_path / FILE
    for n in range(5):
        file.write_text(str(n))
        file.with_name(f"{FILE}-wal").write_text("log")
        file.with_name(f"{FILE}-shm").write_text("index")
        assert damage.set_aside(file, 1.8e9 + n).read_text() == str(n)
    assert [f.read_text() for f in damage.aside(file)] == ["2", "3", "4"]
    assert damage.aside(file)[0].name == f"{FILE}.damaged-20270115T080002Z"
    assert len(list(tmp_path.iterdir())) == 6


def test_while_a_database_is_open_its_index_stays_locked(tmp_path: Path) -> None:
    file, first = in_the_log(tmp_path / "a")
    copy = copied(file, tmp_path / "b")
    first.close()
    database = Database(copy.parent)
    database.check()
    # Without this lock another program would truncate the index, and the service would die of SIGBUS.
    code = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 128)"
    command = [sys.executable, "-c", code, str(copy.with_name(f"{FILE}-shm"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "BlockingIOError" in done.stderr
    database.close()
