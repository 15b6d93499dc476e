"""One open file of a log, read in blocks of whole lines."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import IO

import aiofiles
from aiofiles.threadpool.binary import AsyncBufferedReader

from sidecar.model import Block, Position
from sidecar.sources.content import MARK, Sibling

# A line longer than this is handed on cut, so that it is refused and counted instead of held in memory. No
# block is shorter.
LONGEST = 1 << 16


class Plain:
    """A file as it is. What is in the page cache is read at once, the rest in a thread."""

    def __init__(self, file: AsyncBufferedReader) -> None:
        self._file = file
        self._fd = file.fileno()
        self.inode = os.fstat(self._fd).st_ino

    @classmethod
    async def open(cls, path: str | Path) -> Plain:
        """Raises OSError."""
        return cls(await aiofiles.open(path, "rb"))

    def size(self) -> int | None:
        """Bytes there are now."""
        return os.fstat(self._fd).st_size

    def peek(self, offset: int, length: int) -> bytes:
        """A few bytes, at once."""
        return os.pread(self._fd, length, offset)

    async def read(self, offset: int, length: int) -> bytes:
        """At most so many bytes from there; fewer at the end."""
        buffer = bytearray(length)
        try:
            got = os.preadv(self._fd, [buffer], offset, os.RWF_NOWAIT)
            return bytes(buffer[:got])
        except OSError:
            # Not in memory, or a file system that does not know the question.
            await self._file.seek(offset)
            return await self._file.read(length)

    async def close(self) -> None:
        """Close it."""
        await self._file.close()


class Packed:
    """A file that was packed; read forwards, in a thread. Nobody writes to it any more."""

    def __init__(self, sibling: Sibling, file: IO[bytes]) -> None:
        self._file = file
        self.inode = sibling.inode

    @classmethod
    async def open(cls, sibling: Sibling) -> Packed:
        """Raises OSError."""
        return cls(sibling, await asyncio.to_thread(sibling.open))

    def size(self) -> int | None:
        """Nobody knows before its end."""
        return None

    def peek(self, offset: int, length: int) -> bytes:
        """A few bytes of the beginning; later ones would be unpacked for a long time."""
        if offset:
            return b""
        place = self._file.tell()
        self._file.seek(0)
        data = self._file.read(length)
        self._file.seek(place)
        return data

    async def read(self, offset: int, length: int) -> bytes:
        """At most so many bytes from there; fewer at the end."""
        return await asyncio.to_thread(self._read, offset, length)

    def _read(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(length)

    async def close(self) -> None:
        """Close it."""
        await asyncio.to_thread(self._file.close)


class Reading:
    """A file of the log `path` and how far it was read: everything before `offset` has been handed on."""

    def __init__(self, path: str, file: Plain | Packed, offset: int, tail: bytes = b"") -> None:
        self.path, self.file, self.offset = path, file, offset
        self.inode = file.inode
        self._head = b""
        self._tail = tail or file.peek(max(0, offset - MARK), min(MARK, offset))
        self._skipping = False

    def position(self) -> Position:
        """Where the reading is."""
        if len(self._head) < MARK:
            self._head = self.file.peek(0, min(MARK, self.offset))
        return Position(self.path, self.inode, self.offset, self._head, self._tail)

    def rewind(self) -> None:
        """The file begins anew."""
        self.offset, self._skipping, self._head, self._tail = 0, False, b"", b""

    def restarted(self) -> bool:
        """Whether the file was truncated, and perhaps grew again past where it was read."""
        size = self.file.size()
        if size is None:
            return False
        if size < self.offset:
            return True
        begin = max(0, self.offset - len(self._tail))
        return (
            self.file.peek(begin, len(self._tail)) != self._tail
            or self.file.peek(0, len(self._head)) != self._head
        )

    async def next(self, length: int, *, live: bool, last: bool = False) -> Block | None:
        """The next whole lines, or None at the end. An incomplete last line waits for its rest, unless this
        is the `last` look at the file."""
        while True:
            size = self.file.size()
            if size is not None and size <= self.offset:
                return None
            data = await self.file.read(
                self.offset, length if size is None else min(length, size - self.offset)
            )
            if self.restarted():
                # Truncated meanwhile: what was read may be of both, the old and the new.
                return None
            if not self._skipping or not data:
                break
            newline = data.find(b"\n")
            self._advance(data if newline < 0 else data[: newline + 1])
            self._skipping = newline < 0
        cut = data.rfind(b"\n") + 1
        if cut:
            data = data[:cut]
            self._advance(data)
        elif len(data) >= LONGEST:
            self._advance(data)
            self._skipping = True
            data = data[:LONGEST] + b"\n"
        elif last and data:
            self._advance(data)
            data += b"\n"
        else:
            return None
        return Block(data, self.position(), live, time.time())

    def _advance(self, data: bytes) -> None:
        self.offset += len(data)
        self._tail = (self._tail + data[-MARK:])[-MARK:]
