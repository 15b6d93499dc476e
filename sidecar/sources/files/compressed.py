"""Reads a compressed log file forwards, in a thread."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import zlib
from collections.abc import Callable
from io import FileIO
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from sidecar.sources.files.disk import Disk

# Errors of a file that is truncated, damaged, or not compressed.
BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error)
_OPENERS: dict[bytes, Callable[[FileIO], object]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_SUFFIXES = (".gz", ".bz2", ".xz")
# Formats without support; their lines are not read.
CLOSED = (".zst", ".zip", ".lz4", ".7z", ".br", ".lzma", ".Z")
# Bytes to decompress at a time while skipping to an offset.
_STEP = 16 << 20


def is_packed(path: str) -> bool:
    """Whether the name is that of a compressed file."""
    return path.endswith((*_SUFFIXES, *CLOSED))


def unpacking(file: FileIO) -> IO[bytes]:
    """The decompressed content of an open file. OSError for an unsupported format."""
    if (content := opened(file)) is None:
        raise OSError("not compressed by gzip, bzip2 or xz")
    return content


def opened(file: FileIO) -> IO[bytes] | None:
    """The decompressed content of an open file, whatever its name; None if it is not compressed by gzip,
    bzip2 or xz."""
    begin = os.pread(file.fileno(), 6, 0)
    file.seek(0)
    for magic, opener in _OPENERS.items():
        if begin.startswith(magic):
            return cast("IO[bytes]", opener(file))
    return None


def holds(file: FileIO, length: int) -> bool:
    """Whether the file is gzip and its trailer gives this length of the content, modulo 4 GiB."""
    size = os.fstat(file.fileno()).st_size
    if size < 18 or os.pread(file.fileno(), 2, 0) != b"\x1f\x8b":
        return False
    return int.from_bytes(os.pread(file.fileno(), 4, size - 4), "little") == length % (1 << 32)


class Packed:
    """A compressed file, read forwards. It no longer changes. BROKEN if it is damaged."""

    def __init__(self, file: FileIO, disk: Disk) -> None:
        self._file, self._disk = file, disk
        self._content: IO[bytes] = file
        # Decompressed bytes that were not read yet, and their offset.
        self._rest, self._at = b"", 0

    async def forward(self, offset: int, tail: bytes) -> bool | None:
        """Skip to an offset, before the first read. Whether the bytes before it end with `tail`; None if the
        content is shorter."""
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
        """Up to `length` bytes at `offset`, which must not decrease between calls; fewer at the end."""
        self._rest, self._at = self._rest[offset - self._at :], offset
        if len(self._rest) < length:
            self._rest += await self._disk.ask(self._content.read, length - len(self._rest))
        return self._rest[:length]

    def close(self) -> None:
        """Close the file."""
        with contextlib.closing(self._file):
            self._content.close()
