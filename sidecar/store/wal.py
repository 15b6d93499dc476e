"""SQLite's write-ahead log: how many pages its commits hold, and where they lie."""

from __future__ import annotations

import itertools
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

SUFFIX = "-wal"
# The log begins with magic, version, page size, number, two salts and two sums; a page in it with its number,
# the size of the database behind a commit (else 0), and salts and sums again.
_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = 0x377F0682

Read = Callable[[int, int], bytes]


def committed(path: Path) -> int:
    """How many pages the log of this database holds up to its last commit, by the salts alone; at least 1
    where its own beginning is damaged."""
    try:
        with path.with_name(path.name + SUFFIX).open("rb") as file:
            head = file.read(_HEADER.size)
            if len(head) < _HEADER.size:
                return 0
            if (size := page_size(head)) is None:
                return 1
            salts, last = _HEADER.unpack(head)[4:6], 0
            for number in itertools.count(1):
                frame = file.read(_FRAME.size)
                if len(frame) < _FRAME.size or _FRAME.unpack(frame)[2:4] != salts:
                    return last
                file.seek(size, os.SEEK_CUR)
                last = number if _FRAME.unpack(frame)[1] else last
    except OSError:
        return 0
    return 0


def page_size(head: bytes) -> int | None:
    """The size of a page by the first 32 bytes of a log; None where they are not whole."""
    if len(head) < _HEADER.size:
        return None
    magic, _, size, *_, one, two = _HEADER.unpack_from(head)
    whole = magic & ~1 == _MAGIC and is_page_size(size) and _sums(head[:24], (0, 0), magic) == (one, two)
    return size if whole else None


def is_page_size(size: int) -> bool:
    """Whether SQLite has pages of this size."""
    return 512 <= size <= 65536 and size & (size - 1) == 0


def places(read: Read, until: float) -> tuple[dict[int, int], bool]:
    """Where in the log the newest content of each page lies, up to the last commit before the first damage;
    and whether the log was read to its end by `until` (monotonic). `read(offset, length)` reads the log."""
    head = read(0, _HEADER.size)
    size = page_size(head)
    if size is None:
        return {}, True
    magic, *_, salt, more, one, two = _HEADER.unpack(head)
    sums = one, two
    found: dict[int, int] = {}
    waiting: dict[int, int] = {}
    for at in itertools.count(_HEADER.size, _FRAME.size + size):
        frame = read(at, _FRAME.size + size)
        if len(frame) < _FRAME.size + size:
            break
        number, commit, *salts_and_sums = _FRAME.unpack_from(frame)
        sums = _sums(frame[_FRAME.size :], _sums(frame[:8], sums, magic), magic)
        if salts_and_sums != [salt, more, *sums]:
            break
        waiting[number] = at + _FRAME.size
        if commit:
            found |= waiting
            waiting.clear()
        if time.monotonic() > until:
            return found, False
    return found, True


def _sums(data: bytes, sums: tuple[int, int], magic: int) -> tuple[int, int]:
    """SQLite's checksum of a log, continued over `data`: a multiple of eight bytes."""
    one, two = sums
    words = struct.unpack(f"{'>' if magic & 1 else '<'}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
