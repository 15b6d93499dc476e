"""A log is followed without losing a line."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.model import Position, SourceError
from sidecar.sources import wake as waking
from sidecar.sources.file import Follower
from sidecar.sources.reading import LONGEST
from sidecar.sources.wake import Wake


class Reader:
    """Collects the lines of one follower, and its last position."""

    def __init__(self, path: Path, positions: Sequence[Position] = (), beginning: int = 0) -> None:
        self.lines: list[bytes] = []
        self.live: list[bool] = []
        self._wake = Wake()
        self._follower = Follower(str(path), self._wake, positions, beginning=lambda _: beginning)

    @property
    def position(self) -> list[Position]:
        """All positions that are known, as a database would keep them."""
        return list(self._follower.positions)

    async def run(self) -> None:
        async for block in self._follower.blocks():
            self.live.append(block.live)
            self.lines += block.data.splitlines()

    async def until(self, *lines: bytes) -> None:
        for _ in range(400):
            if self.lines == list(lines):
                return
            await asyncio.sleep(0.01)
        assert self.lines == list(lines)


@asynccontextmanager
async def reading(
    path: Path, positions: Sequence[Position] = (), beginning: int = 0
) -> AsyncIterator[Reader]:
    reader = Reader(path, positions, beginning)
    tasks = [asyncio.create_task(reader._wake.run()), asyncio.create_task(reader.run())]
    try:
        yield reader
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "x.log"
    path.write_bytes(b"one\n")
    return path


async def test_lines_are_read_from_the_first_on_and_as_they_come(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        append(log, b"two\n")
        await reader.until(b"one", b"two")
        assert reader.live == [False, True]


async def test_an_incomplete_line_waits_for_its_rest(log: Path) -> None:
    async with reading(log) as reader:
        append(log, b"tw")
        await asyncio.sleep(0.1)
        append(log, b"o\n")
        await reader.until(b"one", b"two")


async def test_a_log_that_was_never_read_begins_where_it_is_told(log: Path) -> None:
    async with reading(log, beginning=4) as reader:
        await asyncio.sleep(0.1)
        append(log, b"two\n")
        await reader.until(b"two")


async def test_a_renamed_log_is_read_to_its_end_and_the_new_one_from_its_beginning(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        append(log, b"two\n")
        log.rename(log.with_suffix(".1"))
        append(log, b"new\n")
        await reader.until(b"one", b"two", b"new")
        append(log.with_suffix(".1"), b"late\n")
        await reader.until(b"one", b"two", b"new", b"late")
        append(log, b"newer\n")
        await reader.until(b"one", b"two", b"new", b"late", b"newer")


async def test_a_log_that_vanishes_is_waited_for(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        log.unlink()
        await asyncio.sleep(0.1)
        append(log, b"again\n")
        await reader.until(b"one", b"again")


async def test_a_truncated_log_is_read_from_its_beginning(log: Path) -> None:
    append(log, b"two\nthree\n")
    async with reading(log) as reader:
        await reader.until(b"one", b"two", b"three")
        log.write_bytes(b"new\n")
        await reader.until(b"one", b"two", b"three", b"new")


async def test_a_log_that_was_truncated_and_grew_past_its_old_end_is_read_from_its_beginning(
    log: Path,
) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        log.write_bytes(b"much longer than before\n")
        await reader.until(b"one", b"much longer than before")


async def test_a_restart_goes_on_where_it_stopped(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        position = reader.position
    append(log, b"two\n")
    async with reading(log, position) as reader:
        await reader.until(b"two")


async def test_a_restart_finds_the_rest_of_a_log_that_was_renamed_meanwhile(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        position = reader.position
    append(log, b"two\n")
    log.rename(log.with_name("x.log.2026-01-05"))
    append(log, b"new\n")
    async with reading(log, position) as reader:
        await reader.until(b"two", b"new")


async def test_a_restart_after_two_rotations_reads_every_file_between(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        position = reader.position
    append(log, b"two\n")
    log.rename(log.with_name("x.log.2"))
    await asyncio.sleep(0.02)
    append(log, b"three\n")
    log.rename(log.with_name("x.log.1"))
    log.with_name("x.log.0.gz").write_bytes(b"packed\n")
    append(log, b"four\n")
    async with reading(log, position) as reader:
        await reader.until(b"two", b"three", b"four")


async def test_a_restart_after_a_copy_and_truncation_reads_the_rest_from_the_copy(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        position = reader.position
    append(log, b"two\n")
    shutil.copy(log, log.with_name("x.log.1"))
    log.write_bytes(b"")
    append(log, b"3\n")
    async with reading(log, position) as reader:
        await reader.until(b"two", b"3")


async def test_a_restart_on_another_file_of_the_same_inode_begins_at_its_beginning(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        position = reader.position
    log.write_bytes(b"other\n")
    async with reading(log, position) as reader:
        await reader.until(b"other")


async def test_a_line_of_ten_mebibytes_is_handed_on_cut_and_the_next_lines_are_whole(log: Path) -> None:
    append(log, b"x" * (10 << 20) + b"\nnext\0\xff\n")
    async with reading(log) as reader:
        await reader.until(b"one", b"x" * LONGEST, b"next\0\xff")


async def test_a_log_that_cannot_be_opened_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.log"):
        async with asyncio.timeout(5):
            await Reader(tmp_path / "gone.log").run()


async def test_polling_takes_over_where_inotify_does_not_work(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError(24, "no instances left")

    monkeypatch.setattr(waking, "Inotify", refuse)
    async with reading(log) as reader:
        await reader.until(b"one")
        append(log, b"two\n")
        await reader.until(b"one", b"two")


async def test_a_rotation_by_symlink_is_followed(log: Path, tmp_path: Path) -> None:
    link, other = tmp_path / "link.log", tmp_path / "y.log"
    link.symlink_to(log)
    shutil.copy(log, other)
    append(other, b"two\n")
    async with reading(link) as reader:
        await reader.until(b"one")
        other.replace(log)
        await reader.until(b"one", b"one", b"two")
