"""Only regular files are read, other kinds are reported, and a hung disk blocks nothing else."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.model import Position, SourceError
from sidecar.sources.files import disk as asking
from sidecar.sources.files import follower as following
from sidecar.sources.files.descriptors import open_regular
from sidecar.sources.files.disk import Disk
from sidecar.sources.files.log_files import LogFiles
from tests.sources.following import Reader, append, reading


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


KINDS: dict[str, Callable[[Path], None]] = {
    "a FIFO": os.mkfifo,
    "a directory": Path.mkdir,
    "a socket": _socket,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "No such file": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_no_file_is_told_and_a_file_that_takes_its_place_is_read(
    log: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_GONE_SECONDS", 0.3)
    log.unlink()
    KINDS[kind](log)
    with pytest.raises(SourceError, match=kind):
        async with asyncio.timeout(5):
            await Reader(log).run()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_log_that_is_something_else_for_a_moment_is_read_on(log: Path, kind: str) -> None:
    reader = Reader(log)
    async with asyncio.timeout(10):
        running = asyncio.create_task(reader.run())
        await reader.until(b"one")
        append(log, b"two\n")
        log.rename(log.with_name("aside"))
        KINDS[kind](log)
        # The open file is read to its end before the error.
        with pytest.raises(SourceError, match=kind):
            await running
    log.rename(log.with_name("odd"))
    append(log, b"three\n")
    async with reading(log, reader.position) as again:
        await again.until(b"three")
    assert reader.lines == [b"one", b"two"]


async def test_a_fifo_is_not_even_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    with pytest.raises(SourceError, match="x is a FIFO; only regular files are read"):
        await asyncio.wait_for(asyncio.to_thread(open_regular, str(tmp_path / "x")), 5)


async def test_a_disk_that_does_not_answer_costs_one_thread_and_is_asked_again_when_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "PATIENCE", 0.05)
    disk, released, threads = Disk("x.log"), threading.Event(), threading.active_count()
    with pytest.raises(SourceError, match=r"x\.log: the disk has not answered for 0 s"):
        await disk.ask(released.wait)
    for _ in range(3):
        with pytest.raises(SourceError):
            await disk.ask(released.wait)
    assert threading.active_count() == threads + 1
    released.set()
    for _ in range(100):
        await asyncio.sleep(0.01)
        if threading.active_count() == threads:
            break
    assert await disk.ask(lambda: 7) == 7


async def test_no_more_disks_are_asked_at_a_time_than_there_are_turns() -> None:
    turns, running, most = asyncio.Semaphore(3), 0, 0
    lock = threading.Lock()

    def ask() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1

    await asyncio.gather(*(Disk(str(number), turns=turns).ask(ask) for number in range(12)))
    assert most == 3


async def test_a_file_that_a_disk_opens_too_late_is_closed(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PATIENCE", 0.05)
    opened = []
    go = threading.Event()

    def slow() -> object:
        go.wait(5)
        opened.append(open_regular(str(log)))
        return opened[0]

    with pytest.raises(SourceError):
        await Disk("x.log").ask(slow)
    go.set()
    for _ in range(100):
        await asyncio.sleep(0.01)
        if opened and opened[0].closed:
            break
    assert opened[0].closed


async def test_a_log_whose_disk_hangs_ends_at_once_when_it_is_cancelled(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(LogFiles, "look", lambda *_: go.wait(20))
    async with asyncio.timeout(2):
        async with reading(log):
            await asyncio.sleep(0.1)
    go.set()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"\xef\xbb\xbfone\ntwo\n", [b"one", b"two"]),
        (b"one\n\0\0\0\0two\n", [b"one", b"two"]),
        (b"\0" * 200_000 + b"one\n", [b"one"]),
        (b"one\n\xef\xbb\xbf\0two\n", [b"one", b"two"]),
        (b"o\0ne\n", [b"o\0ne"]),
    ],
    ids=["byte-order mark", "zeros", "a hole", "files put together", "inside a line"],
)
async def test_what_stands_before_a_line_and_is_none_of_it_costs_no_line(
    log: Path, text: bytes, lines: list[bytes]
) -> None:
    log.write_bytes(text)
    async with reading(log) as reader:
        await reader.until(*lines)


async def test_a_writer_that_goes_on_at_its_old_place_after_a_truncation_is_read(log: Path) -> None:
    with log.open("r+b", buffering=0) as writer:
        writer.seek(0, os.SEEK_END)
        writer.write(b"x" * 300_000 + b"\n")
        async with reading(log) as reader:
            await reader.read_all()
            before = len(reader.lines)
            os.truncate(log, 0)
            writer.write(b"two\n")
            for _ in range(400):
                await asyncio.sleep(0.01)
                if len(reader.lines) > before:
                    break
            assert reader.lines[before:] == [b"two"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
async def test_text_in_utf_16_is_told_as_such(log: Path, encoding: str) -> None:
    log.write_bytes("a line of a log, written by an odd program\n".encode(encoding))
    with pytest.raises(SourceError, match=r"x\.log cannot be read: the text is UTF-16"):
        async with asyncio.timeout(5):
            await Reader(log).run()


async def test_a_text_in_utf_16_is_refused_at_each_try(log: Path) -> None:
    log.write_bytes("a line of an odd program\n".encode("utf-16") * 20)
    positions: list[Position] = []
    for _ in range(3):
        reader = Reader(log, positions)
        with pytest.raises(SourceError, match="the text is UTF-16"):
            async with asyncio.timeout(5):
                await reader.run()
        positions = reader.position


async def test_a_sector_that_cannot_be_read_of_an_older_file_costs_only_that_file(
    log: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        position = reader.position
    append(log, b"two\n")
    log.rename(log.with_name("x.log.1"))
    bad = log.with_name("x.log.1").stat().st_ino
    append(log, b"three\n")
    real = os.preadv

    def broken(descriptor: int, *rest: object) -> int:
        if os.fstat(descriptor).st_ino == bad:
            raise OSError(5, "Input/output error")
        return real(descriptor, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "preadv", broken)
    async with reading(log, position) as reader:
        await reader.until(b"three")
    assert f"cannot continue to read {log}.1" in caplog.text


async def test_a_rotated_file_that_cannot_be_unpacked_is_told_as_long_as_it_is_there(log: Path) -> None:
    async with reading(log) as reader:
        await reader.until(b"one")
        odd = log.with_name("x.log.1.gz")
        odd.write_bytes(b"not packed at all")
        append(log, b"two\n")
        await reader.until(b"one", b"two")
        for _ in range(300):
            await asyncio.sleep(0.01)
            if reader.unread:
                break
        assert "x.log.1.gz cannot be decompressed" in reader.unread[0]
        odd.unlink()
        for _ in range(300):
            await asyncio.sleep(0.01)
            if not reader.unread:
                break
        assert reader.unread == []


async def test_files_that_may_not_be_read_are_read_when_they_may(log: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give its rights up")
    async with reading(log) as reader:
        await reader.until(b"one")
        position = reader.position
    append(log, b"two\n")
    log.chmod(0)
    os.chown(log.parent, 65534, 65534)
    os.seteuid(65534)
    try:
        with pytest.raises(SourceError, match="Permission denied"):
            async with asyncio.timeout(5):
                await Reader(log, position).run()
    finally:
        os.seteuid(0)
    log.chmod(0o644)
    async with reading(log, position) as reader:
        await reader.until(b"two")
