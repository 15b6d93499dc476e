"""Each line of a log is read once, whatever happens to its files between two looks."""

from __future__ import annotations

import bz2
import gzip
import os
import random
from pathlib import Path

import pytest

from sidecar.offline.review.unread_lines import UnreadLines
from sidecar.store.review_store import CountedLog, ReviewStore


class Looks:
    """Looks again and again at one log; what was read is kept in the database between two looks."""

    def __init__(self, path: Path, since: float = 0.0) -> None:
        self.path, self._since = path, since
        path.parent.mkdir(exist_ok=True)
        self._store = ReviewStore(path.parent)
        self.faults: list[str] = []

    def read(self) -> list[str]:
        unread = UnreadLines(str(self.path), self._store.log(str(self.path)), self._since)
        found = b"".join(unread.blocks()).decode().splitlines()
        with self._store.writing():
            self._store.put_log(str(self.path), unread.counted({}))
        self.faults = unread.faults
        return found

    def write(self, *lines: str) -> None:
        with self.path.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)


@pytest.fixture
def log(tmp_path: Path) -> Looks:
    return Looks(tmp_path / "zimbra.log")


def test_only_new_whole_lines_are_read(log: Looks) -> None:
    log.write("one", "two")
    assert log.read() == ["one", "two"]
    assert log.read() == []
    with log.path.open("a") as file:
        file.write("thr")
    assert log.read() == []
    with log.path.open("a") as file:
        file.write("ee\nfour\n")
    assert log.read() == ["three", "four"]


def test_a_rotated_file_is_read_to_its_end_before_the_new_one(log: Looks) -> None:
    log.write("one")
    log.read()
    log.write("two")
    log.path.rename(log.path.with_name("zimbra.log.1"))
    log.write("three")
    assert log.read() == ["two", "three"]
    assert log.read() == []


@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, ".gz"), (bz2.compress, ".bz2")])
def test_what_was_read_is_not_read_again_when_it_was_compressed(
    log: Looks, pack: object, suffix: str
) -> None:
    log.write("one")
    log.read()
    log.write("two")
    packed = log.path.with_name(f"zimbra.log.1{suffix}")
    packed.write_bytes(pack(log.path.read_bytes()))  # type: ignore[operator]
    log.path.unlink()
    log.write("three", "four")
    assert log.read() == ["two", "three", "four"]
    packed.rename(log.path.with_name(f"zimbra.log.2{suffix}"))
    assert log.read() == []


def test_a_truncated_log_is_read_from_its_beginning(log: Looks) -> None:
    log.write("one of the first day", "two")
    log.read()
    log.path.with_name("zimbra.log.1").write_bytes(log.path.read_bytes())
    os.truncate(log.path, 0)
    log.write("three")
    assert log.read() == ["three"]


def test_old_files_that_were_never_read_are_left_alone(tmp_path: Path) -> None:
    log = Looks(tmp_path / "zimbra.log", since=1_000_000.0)
    log.write("new")
    for name, at in (("zimbra.log.2", 900_000.0), ("zimbra.log.1", 1_000_001.0)):
        log.path.with_name(name).write_text(f"{name}\n")
        os.utime(log.path.with_name(name), (at, at))
    assert log.read() == ["zimbra.log.1", "new"]


def test_a_damaged_file_is_told_and_the_others_are_read(log: Looks) -> None:
    log.write("one")
    log.path.with_name("zimbra.log.1.gz").write_bytes(gzip.compress(b"x\n" * 9999)[:-20])
    assert log.read()[-1] == "one"
    assert "zimbra.log.1.gz" in log.faults[0]
    log.path.unlink()
    assert log.read() == []


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    unread = UnreadLines(str(tmp_path / "gone" / "x.log"), CountedLog(), 0.0)
    assert list(unread.blocks()) == []
    assert "No such file" in unread.faults[0]


@pytest.mark.parametrize("seed", range(30))
def test_random_rotations_lose_and_repeat_nothing(tmp_path: Path, seed: int) -> None:
    chance, log = random.Random(seed), Looks(tmp_path / "x.log")
    written: list[str] = []
    read: list[str] = []
    for step in range(60):
        what = chance.choice(["write", "write", "look", "rename", "compress"])
        if what == "write":
            lines = [f"{seed} {step} {n} {chance.random()}" for n in range(chance.randint(1, 40))]
            written += lines
            log.write(*lines)
        elif what == "look":
            read += log.read()
        elif what == "rename" and log.path.exists():
            for number in range(9, 0, -1):
                for suffix in ("", ".gz"):
                    if (old := log.path.with_name(f"x.log.{number}{suffix}")).exists():
                        old.rename(log.path.with_name(f"x.log.{number + 1}{suffix}"))
            log.path.rename(log.path.with_name("x.log.1"))
        elif (plain := log.path.with_name("x.log.1")).exists():
            log.path.with_name("x.log.1.gz").write_bytes(gzip.compress(plain.read_bytes()))
            plain.unlink()
        if log.path.with_name("x.log.10.gz").exists() or log.path.with_name("x.log.10").exists():
            break
    read += log.read()
    assert sorted(read) == sorted(written)
