"""A packed file of a log, unpacked forwards in a thread."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import zlib
from collections.abc import Callable
from io import FileIO
from typing import IO, cast

from sidecar.sources.files.disk import Disk

# What a packed file says that is cut off, damaged, or none.
BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error)
_OPENERS: dict[bytes, Callable[[FileIO], object]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_SUFFIXES = (".gz", ".bz2", ".xz")
# What cannot be read here; its lines are lost for us.
_CLOSED = (".zst", ".zip", ".lz4", ".7z", ".br", ".lzma", ".Z")
# So much is unpacked in one go when a place in it is looked for.
_STEP = 16 << 20


def is_packed(path: str) -> bool:
    """Whether it has to be unpacked to be read, by its name."""
    return path.endswith((*_SUFFIXES, *_CLOSED))


def unpacking(file: FileIO) -> IO[bytes]:
    """The content of an open file. OSError where it is not packed in a way that can be read here."""
    begin = os.pread(file.fileno(), 6, 0)
    file.seek(0)
    for magic, opener in _OPENERS.items():
        if begin.startswith(magic):
            return cast("IO[bytes]", opener(file))
    raise OSError("it is not packed by gzip, bzip2 or xz")


def holds(file: FileIO, length: int) -> bool:
    """Whether it is a gzip file that says at its end that its content is this long, modulo 4 GiB."""
    size = os.fstat(file.fileno()).st_size
    if size < 18 or os.pread(file.fileno(), 2, 0) != b"\x1f\x8b":
        return False
    return int.from_bytes(os.pread(file.fileno(), 4, size - 4), "little") == length % (1 << 32)


class Packed:
    """Read forwards; nobody writes to it any more. BROKEN where it is damaged."""

    def __init__(self, file: FileIO, disk: Disk) -> None:
        self._file, self._disk = file, disk
        self._content: IO[bytes] = file
        # What was unpacked already, and the offset where it begins.
        self._rest, self._at = b"", 0

    async def forward(self, offset: int, tail: bytes) -> bool | None:
        """Go to an offset, before anything is read. True if what is before it ends with `tail`; None if it
        ends before."""
        self._content = await self._disk.ask(unpacking, self._file)
        begin = max(0, offset - len(tail))
        while self._at < begin:
            passed = await self._disk.ask(self._content.read, min(_STEP, begin - self._at))
            if not passed:
                return None
            self._at += len(passed)
        found = await self._disk.ask(self._content.read, offset - begin)
        self._at += len(found)
        return found == tail if len(found) == offset - begin else None

    async def rewind(self) -> None:
        """Go back to the beginning."""
        self._rest, self._at = b"", await self._disk.ask(self._content.seek, 0)

    async def read(self, offset: int, length: int) -> bytes:
        """At most so many bytes from there, which is not before what was read last; fewer at the end."""
        self._rest, self._at = self._rest[offset - self._at :], offset
        if len(self._rest) < length:
            self._rest += await self._disk.ask(self._content.read, length - len(self._rest))
        return self._rest[:length]

    def close(self) -> None:
        """Close it."""
        with contextlib.closing(self._file):
            self._content.close()
