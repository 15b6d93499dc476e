"""A change of a log is noticed, on any file system."""

import asyncio
import os
import shutil
import time
from pathlib import Path

import pytest

from sidecar.sources.files import disk
from sidecar.sources.files import file_watcher as waking
from tests.sources.following import append, reading


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
        disk.remote(Path(path), mounts)
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
    assert "is on nfs4" in caplog.text
