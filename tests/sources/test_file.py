"""A log is followed without losing a line."""

import asyncio
import bz2
import gzip
import lzma
import os
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar.model import Position, SourceError
from sidecar.sources import file as following
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
            if block.data:
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


async def test_a_truncated_log_that_grew_past_its_old_end_is_read_from_its_beginning_even_if_it_begins_alike(
    log: Path,
) -> None:
    log.write_bytes(b"x" * 100 + b" header\none\n")
    async with reading(log) as reader:
        await reader.until(b"x" * 100 + b" header", b"one")
        log.write_bytes(b"x" * 100 + b" header\ntwo and more\nthree\n")
        header = b"x" * 100 + b" header"
        await reader.until(header, b"one", header, b"two and more", b"three")


async def test_what_was_written_just_before_a_copy_and_truncation_is_read_from_the_copy(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        # All of it between two looks of the follower: nothing here gives the loop a turn.
        append(log, b"two\n")
        shutil.copy(log, log.with_name("x.log.1"))
        log.write_bytes(b"three and much longer than what was there\n")
        await reader.until(b"one", b"two", b"three and much longer than what was there")


async def test_a_copy_that_is_packed_at_once_is_read_too(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        append(log, b"two\n")
        with gzip.open(log.with_name("x.log.1.gz"), "wb") as packed:
            packed.write(log.read_bytes())
        log.write_bytes(b"three and much longer than what was there\n")
        await reader.until(b"one", b"two", b"three and much longer than what was there")


@pytest.mark.parametrize(("suffix", "packer"), [(".gz", gzip.open), (".bz2", bz2.open), (".xz", lzma.open)])
async def test_a_restart_reads_the_rest_of_a_file_that_was_renamed_and_packed(
    log: Path, suffix: str, packer: Any
) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        position = reader.position
    with packer(log.with_name(f"x.log.1{suffix}"), "wb") as packed:
        packed.write(b"one\ntwo\nthree")
    log.unlink()
    append(log, b"new\n")
    async with reading(log, position) as reader:
        await reader.until(b"two", b"three", b"new")


async def test_a_damaged_packed_file_is_left_and_the_rest_goes_on(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        position = reader.position
    with gzip.open(log.with_name("x.log.1.gz"), "wb") as packed:
        packed.write(b"one\n" + os.urandom(100_000).hex().encode() + b"\n")
    cut = log.with_name("x.log.1.gz").read_bytes()[:5000]
    log.with_name("x.log.1.gz").write_bytes(cut)
    log.unlink()
    append(log, b"new\n")
    async with reading(log, position) as reader:
        for _ in range(400):
            if reader.lines[-1:] == [b"new"]:
                break
            await asyncio.sleep(0.01)
        assert reader.lines[-1] == b"new"


async def test_late_writes_into_a_renamed_file_during_a_downtime_are_read_at_the_restart(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        log.rename(log.with_name("x.log.1"))
        append(log, b"new\n")
        await reader.until(b"one", b"new")
        position = reader.position
    append(log.with_name("x.log.1"), b"late\n")
    append(log, b"newer\n")
    async with reading(log, position) as reader:
        await reader.until(b"late", b"newer")
        append(log.with_name("x.log.1"), b"later\n")
        await reader.until(b"late", b"newer", b"later")


async def test_a_file_that_bore_the_name_for_a_moment_only_is_read(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        append(log, b"two\n")
        log.rename(log.with_name("x.log.2"))
        append(log, b"three\n")
        log.rename(log.with_name("x.log.1"))
        append(log, b"four\n")
        await reader.until(b"one", b"two", b"three", b"four")


async def test_a_backup_copy_is_never_read(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        shutil.copy(log, log.with_name("x.log.backup"))
        append(log, b"two\n")
        log.rename(log.with_name("x.log.1"))
        append(log, b"new\n")
        await reader.until(b"one", b"two", b"new")
        position = reader.position
    shutil.copy(log, log.with_name("x.log.backup"))
    append(log, b"newer\n")
    shutil.copy(log, log.with_name("x.log.backup2"))
    async with reading(log, position) as reader:
        await reader.until(b"newer")
        await asyncio.sleep(0.1)
        await reader.until(b"newer")


async def test_the_last_line_of_a_renamed_file_needs_no_newline(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_LATE_SECONDS", 0.2)
    async with reading(log) as reader:
        await reader.until(b"one")
        append(log, b"cut off")
        log.rename(log.with_name("x.log.1"))
        append(log, b"new\n")
        await reader.until(b"one", b"new", b"cut off")


async def test_a_symbolic_link_that_leads_elsewhere_is_followed_at_once(log: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a/log").write_bytes(b"a\n")
    (tmp_path / "b/log").write_bytes(b"b\n")
    link = tmp_path / "link.log"
    link.symlink_to(tmp_path / "a/log")
    async with reading(link) as reader:
        await reader.until(b"a")
        append(tmp_path / "a/log", b"more\n")
        await reader.until(b"a", b"more")
        (tmp_path / "new").symlink_to(tmp_path / "b/log")
        (tmp_path / "new").replace(link)
        await reader.until(b"a", b"more", b"b")


async def test_a_directory_that_is_made_anew_is_watched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "logs"
    place.mkdir()
    (place / "x.log").write_bytes(b"one\n")
    async with reading(place / "x.log") as reader:
        await reader.until(b"one")
        shutil.rmtree(place)
        await asyncio.sleep(0.1)
        place.mkdir()
        append(place / "x.log", b"two\n")
        await reader.until(b"one", b"two")
        made_anew = place.stat().st_ino
        for _ in range(400):
            if [inode for _, inode in reader._wake._watched.values()] == [made_anew]:
                break
            await asyncio.sleep(0.01)
        monkeypatch.setattr(waking, "POLL_SECONDS", 60.0)
        monkeypatch.setattr(waking, "_SURE_SECONDS", 60.0)
        append(place / "x.log", b"three\n")
        await reader.until(b"one", b"two", b"three")


async def test_a_clock_that_jumps_disturbs_no_reading(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        for hours in (-30, 30):
            now = time.time() + 3600 * hours
            monkeypatch.setattr(time, "time", lambda now=now: now)
            append(log, b"x\n")
            log.rename(log.with_name(f"x.log.{hours}"))
            os.utime(log.with_name(f"x.log.{hours}"), (now, now))
            append(log, b"y\n")
            await asyncio.sleep(0.05)
        await reader.until(b"one", b"x", b"y", b"x", b"y")


def test_a_network_file_system_is_known_by_the_mount_that_a_path_lies_on(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "22 21 0:30 / /opt/zimbra rw,noatime shared:1 - nfs4 server:/zimbra rw\n"
        "23 22 0:31 / /opt/zimbra/log\\040dir rw - tmpfs tmpfs rw\n"
        "24 21 0:32 / /mnt/s rw - fuse.sshfs host:/ rw\n"
    )
    found = [
        waking.remote(Path(path), mounts)
        for path in ("/opt/zimbra/log", "/opt/zimbra/log dir/x", "/var/log", "/opt/zimbrax", "/mnt/s/x")
    ]
    assert found == ["nfs4", None, None, None, "fuse.sshfs"]


async def test_on_a_network_file_system_a_log_is_polled(
    log: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "zmban.sources")
    monkeypatch.setattr(waking, "remote", lambda _: "nfs4")
    async with reading(log) as reader:
        await reader.until(b"one")
        append(log, b"two\n")
        await reader.until(b"one", b"two")
    assert "lies on nfs4" in caplog.text
