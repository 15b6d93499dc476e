"""Reads the write-ahead log of SQLite: the number of committed pages, and where they are.

https://www.sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import itertools
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

SUFFIX = "-wal"
# Log header: magic, version, page size, sequence number, two salts, two checksums. Frame header: page number,
# size of the database after a commit (else 0), two salts, two checksums.
_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = 0x377F0682

Read = Callable[[int, int], bytes]


def committed(path: Path) -> int:
    """Number of pages in the log of this database up to the last commit, judged by the salts alone; 1 if the
    header of the log is damaged."""
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
    """Page size according to the header of a log (32 bytes); None if the header is damaged."""
    if len(head) < _HEADER.size:
        return None
    magic, _, size, *_, one, two = _HEADER.unpack_from(head)
    whole = magic & ~1 == _MAGIC and is_page_size(size) and _sums(head[:24], (0, 0), magic) == (one, two)
    return size if whole else None


def is_page_size(size: int) -> bool:
    """Whether this is a valid page size."""
    return 512 <= size <= 65536 and size & (size - 1) == 0


def places(read: Read, until: float) -> tuple[dict[int, int], bool]:
    """Offset in the log of the newest content of each page, up to the last commit before any damage; and
    whether the log was read to its end before `until` (monotonic time). `read(offset, length)` reads the log.
    """
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
    """The checksum of a log, continued over `data`, whose length is a multiple of eight."""
    one, two = sums
    words = struct.unpack(f"{'>' if magic & 1 else '<'}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
