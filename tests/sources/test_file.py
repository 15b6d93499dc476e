"""A log is followed without losing a line."""

import asyncio
import gzip
import os
import shutil
from pathlib import Path

import pytest

from sidecar.model import SourceError
from sidecar.sources.files import follower as following
from sidecar.sources.lines.line_format import LONGEST
from tests.sources.following import Reader, append, reading


async def test_lines_are_read_from_the_first_on_and_as_they_come(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        await reader.read_all()
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


async def test_a_line_of_ten_mebibytes_is_handed_on_cut_and_the_next_lines_are_whole(log: Path) -> None:
    append(log, b"x" * (10 << 20) + b"\nnext\0\xff\n")
    async with reading(log) as reader:
        await reader.until(b"one", b"x" * LONGEST, b"next\0\xff")


async def test_after_a_restart_the_rest_of_an_overlong_line_is_no_line_of_its_own(log: Path) -> None:
    append(log, b"x" * (LONGEST + 1))
    async with reading(log) as reader:
        await reader.until(b"one", b"x" * LONGEST)
        positions = reader.position
    append(log, b"forged\nnext\n")
    async with reading(log, positions) as again:
        await again.until(b"next")


async def test_a_log_that_cannot_be_opened_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.log"):
        async with asyncio.timeout(5):
            await Reader(tmp_path / "gone.log").run()


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
        # All of this happens between two looks of the follower, because nothing here yields to the loop.
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


async def test_a_file_that_was_truncated_and_packed_between_two_looks_is_read_once(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        # Same length as before, so that only the bytes differ.
        log.write_bytes(b"two\n")
        log.rename(log.with_name("x.log.1"))
        with gzip.open(log.with_name("x.log.1.gz"), "wb") as packed:
            packed.write(b"two\n")
        log.with_name("x.log.1").unlink()
        log.write_bytes(b"three\n")
        while b"two" not in reader.lines:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert sorted(reader.lines) == [b"one", b"three", b"two"]


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
    monkeypatch.setattr(following, "LATE_SECONDS", 0.2)
    async with reading(log) as reader:
        await reader.until(b"one")
        append(log, b"cut off")
        log.rename(log.with_name("x.log.1"))
        append(log, b"new\n")
        await reader.until(b"one", b"new", b"cut off")
