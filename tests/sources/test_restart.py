"""After a restart a log is read on from its position, whatever happened to its files."""

import asyncio
import bz2
import gzip
import lzma
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.sources.following import append, read_once, reading


async def test_a_restart_goes_on_where_it_stopped(log: Path) -> None:
    position = await read_once(log)
    append(log, b"two\n")
    async with reading(log, position) as reader:
        await reader.until(b"two")


async def test_a_restart_finds_the_rest_of_a_log_that_was_renamed_meanwhile(log: Path) -> None:
    position = await read_once(log)
    append(log, b"two\n")
    log.rename(log.with_name("x.log.2026-01-05"))
    append(log, b"new\n")
    async with reading(log, position) as reader:
        await reader.until(b"two", b"new")


async def test_a_restart_after_two_rotations_reads_every_file_between(log: Path) -> None:
    position = await read_once(log)
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
    position = await read_once(log)
    append(log, b"two\n")
    shutil.copy(log, log.with_name("x.log.1"))
    log.write_bytes(b"")
    append(log, b"3\n")
    async with reading(log, position) as reader:
        await reader.until(b"two", b"3")


async def test_a_restart_on_another_file_of_the_same_inode_begins_at_its_beginning(log: Path) -> None:
    position = await read_once(log)
    log.write_bytes(b"other\n")
    async with reading(log, position) as reader:
        await reader.until(b"other")


@pytest.mark.parametrize(("suffix", "packer"), [(".gz", gzip.open), (".bz2", bz2.open), (".xz", lzma.open)])
async def test_a_restart_reads_the_rest_of_a_file_that_was_renamed_and_packed(
    log: Path, suffix: str, packer: Any
) -> None:
    position = await read_once(log)
    with packer(log.with_name(f"x.log.1{suffix}"), "wb") as packed:
        packed.write(b"one\ntwo\nthree")
    log.unlink()
    append(log, b"new\n")
    async with reading(log, position) as reader:
        await reader.until(b"two", b"three", b"new")


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
