"""A database file that is damaged: found out, read past its damage, and put out of the way."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import sqlite3
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from sidecar.model import Instant

_WAL = "-wal"
_SHM = "-shm"
_ASIDE = ".damaged-"
# What was set aside is for a person to look at: the newest few, or a failing disk would be filled by them.
_MOST_ASIDE = 3

# The write-ahead log begins with magic, version, page size, number, two salts and two sums; a page in it with
# its number, the size of the database behind a commit (else 0), and salts and sums again.
_WAL_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = 0x377F0682

_LEAST_FREE = 1 << 20
_HEADER = 100
_PAGE = 4096
# Held in memory a few times over, below the limit of a container; what is bigger is read where it lies.
_MOST_BYTES = 128 << 20


def log_is_broken(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the write-ahead log of this database holds commits that SQLite did not take over when it was
    opened: to be asked before anything is written.

    Only SQLite itself may open the file and its index: closing them here would drop its locks, and the next
    program that looks into the database would cut the index away under our feet.
    """
    expected = committed(path)
    _, valid, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    # Less than nothing where there is no log, or somebody else is at it.
    return 0 <= int(valid) < expected


def committed(path: Path) -> int:
    """How many pages the write-ahead log holds up to its last commit, by the salts alone; at least 1 where
    its own beginning is damaged."""
    try:
        with _beside(path, _WAL).open("rb") as file:
            head = file.read(_WAL_HEADER.size)
            if len(head) < _WAL_HEADER.size:
                return 0
            magic, _, size, _, *salts, _, _ = _WAL_HEADER.unpack(head)
            if (
                magic & ~1 != _MAGIC
                or not _is_page(size)
                or _sums(head[:24], (0, 0), magic & 1) != _sum(head)
            ):
                return 1
            last = 0
            for number in itertools.count(1):
                frame = file.read(_FRAME.size)
                if len(frame) < _FRAME.size or list(_FRAME.unpack(frame)[2:4]) != salts:
                    return last
                file.seek(size, os.SEEK_CUR)
                last = number if _FRAME.unpack(frame)[1] else last
    except OSError:
        return 0
    return 0


def empty_before_its_log(path: Path) -> bool:
    """Whether the file was cut to nothing while its write-ahead log holds something: SQLite would take it for
    a new one, and throw the log away."""
    try:
        return path.stat().st_size == 0 and _beside(path, _WAL).stat().st_size > 0
    except OSError:
        return False


@contextlib.contextmanager
def opened(path: Path, template: bytes) -> Iterator[sqlite3.Connection]:
    """A connection that reads what can be read of a file, without touching it or asking for a lock.

    `template` is a new database of the same tables, whose first page stands in for one that is lost.
    OSError or sqlite3.Error where nothing can be read.
    """
    if path.stat().st_size > _MOST_BYTES:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            yield db
        return
    data = image(path)
    for attempt in _attempts(data, template):
        db = sqlite3.connect(":memory:")
        with contextlib.closing(db):
            try:
                db.deserialize(bytes(attempt))
                db.execute("SELECT 1 FROM bans LIMIT 0")
            except sqlite3.Error:
                continue
            yield db
            return
    raise sqlite3.DatabaseError("nothing of it can be read")


def image(path: Path) -> bytearray:
    """The file with the commits of its write-ahead log in it, as far as they are whole. OSError."""
    data = bytearray(path.read_bytes())
    log = _beside(path, _WAL)
    for number, page in _committed_pages(log.read_bytes() if log.exists() else b""):
        start = (number - 1) * len(page)
        if start + len(page) > len(data):
            data += bytes(start + len(page) - len(data))
        data[start : start + len(page)] = page
    return data


def _committed_pages(log: bytes) -> list[tuple[int, bytes]]:
    """Number and content of the pages up to the last commit before the first damage."""
    if len(log) < _WAL_HEADER.size:
        return []
    magic, _, size, _, *salts, _, _ = _WAL_HEADER.unpack_from(log)
    sums = _sums(log[:24], (0, 0), magic & 1)
    if magic & ~1 != _MAGIC or not _is_page(size) or sums != _sum(log[:32]):
        return []
    pages: list[tuple[int, bytes]] = []
    whole = 0
    for at in range(_WAL_HEADER.size, len(log) - size - _FRAME.size + 1, size + _FRAME.size):
        number, commit, *salt_and_sum = _FRAME.unpack_from(log, at)
        page = log[at + _FRAME.size : at + _FRAME.size + size]
        sums = _sums(page, _sums(log[at : at + 8], sums, magic & 1), magic & 1)
        if salt_and_sum != [*salts, *sums]:
            break
        pages.append((number, page))
        whole = len(pages) if commit else whole
    return pages[:whole]


def _sums(data: bytes, sums: tuple[int, int], big_endian: int) -> tuple[int, int]:
    """SQLite's checksum of a log, continued over `data`."""
    one, two = sums
    words = struct.unpack(f"{'>' if big_endian else '<'}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def _sum(head: bytes) -> tuple[int, int]:
    one, two = _WAL_HEADER.unpack(head)[6:]
    return one, two


def _is_page(size: int) -> bool:
    return 512 <= size <= 65536 and size & (size - 1) == 0


def _attempts(data: bytearray, template: bytes) -> Iterator[bytearray]:
    """The content as it is; with the first bytes of a new database; with its whole first page."""
    plain = bytearray(data)
    # No log of its own: it lies in memory.
    plain[18:20] = b"\1\1"
    said = int.from_bytes(plain[28:32], "big") * _PAGE
    if len(plain) < said <= _MOST_BYTES:
        plain += bytes(said - len(plain))
    yield plain
    for borrowed in (_HEADER, _PAGE):
        patched = bytearray(data)
        patched += bytes(-len(patched) % _PAGE)
        patched[:borrowed] = template[:borrowed]
        patched[18:20] = b"\1\1"
        # Its size in pages, true since the two counters agree; and no list of free pages.
        patched[28:32] = (len(patched) // _PAGE).to_bytes(4, "big")
        patched[24:28] = patched[92:96]
        patched[32:40] = bytes(8)
        yield patched


def aside(path: Path) -> list[Path]:
    """The damaged files that were set aside and still lie there, oldest first."""
    found: list[Path] = []
    with contextlib.suppress(OSError):
        found += path.parent.glob(f"{path.name}{_ASIDE}*")
    return sorted(file for file in found if not file.name.endswith((_WAL, _SHM)))


def set_aside(path: Path, now: Instant) -> Path:
    """Rename a database and its log out of the way; the new name. OSError where that cannot be done."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    names = (f"{path.name}{_ASIDE}{stamp}{more}" for more in ("", *(f"-{n}" for n in range(2, 100))))
    target = next(t for t in map(path.with_name, names) if not t.exists())
    with contextlib.suppress(FileNotFoundError):
        path.rename(target)
    # Under its name a log would be taken for that of the next database.
    with contextlib.suppress(FileNotFoundError):
        _beside(path, _WAL).rename(_beside(target, _WAL))
    _beside(path, _SHM).unlink(missing_ok=True)
    for old in aside(path)[:-_MOST_ASIDE]:
        for file in (old, _beside(old, _WAL), _beside(old, _SHM)):
            file.unlink(missing_ok=True)
    return target


def obstacle(path: Path) -> str | None:
    """Why the disk would not take this file whatever was in it; None where it would."""
    try:
        status = os.statvfs(path.parent)
    except OSError as error:
        return error.strerror
    if status.f_flag & os.ST_RDONLY:
        return os.strerror(errno.EROFS)
    if status.f_bavail * status.f_frsize < _LEAST_FREE:
        return os.strerror(errno.ENOSPC)
    return None if os.access(path.parent, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)


def size(path: Path) -> int:
    """How many bytes a file has, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def inode(path: Path) -> int | None:
    """Which file bears this name, None where none does."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
