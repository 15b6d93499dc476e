"""One open file of a log, read in blocks of whole lines."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import aiofiles.threadpool

from sidecar.model import Block, SourceError
from sidecar.sources.files.content import Content, FileKey, Opened, RecentLogins
from sidecar.sources.files.disk import PATIENCE, Disk, remote
from sidecar.sources.files.packed import Packed

# A line longer than this is handed on cut, so that it is refused and counted instead of held in memory. No
# block is shorter.
LONGEST = 1 << 16
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# What no program means to write: a byte-order mark where files were put together, and the zeros that stand
# where a program went on writing at its old place into a file that was truncated.
_BEFORE_A_LINE = re.compile(rb"(^|\n)(?:\0|\xef\xbb\xbf)+")


class Piece(NamedTuple):
    """Bytes of a file from an offset on, `size` and time of the last change of the file when they were read,
    and whether it still `holds` what was read of it before."""

    data: bytes
    size: int
    changed: float
    holds: bool


class _NotInMemoryError(Exception):
    """The disk would have to be waited for."""


class Plain:
    """A file as it is. What is in memory is read at once, the rest in a thread; of a network file system,
    which may hang, all is read in a thread."""

    def __init__(self, file: FileIO, disk: Disk) -> None:
        self._fd, self._disk = file.fileno(), disk
        self._file, self._aside = file, aiofiles.threadpool.wrap(file, executor=disk)
        self.remote = remote(Path(f"/proc/self/fd/{self._fd}").readlink()) is not None

    async def piece(self, content: Content, length: int) -> Piece:
        """At most so many of the next bytes; fewer at the end."""
        asked = content.offset, length, content.head, content.tail
        if self.remote:
            return await self._disk.ask(self._piece, *asked)
        try:
            return self._piece(*asked, flags=os.RWF_NOWAIT)
        except _NotInMemoryError:
            async with asyncio.timeout(PATIENCE):
                await self._aside.seek(content.offset)
                await self._aside.read(length)
            return self._piece(*asked)

    def _piece(self, offset: int, length: int, head: bytes, tail: bytes, flags: int = 0) -> Piece:
        status = os.fstat(self._fd)
        wanted, data = min(length, status.st_size - offset), b""
        if wanted > 0:
            buffer = bytearray(wanted)
            try:
                got = os.preadv(self._fd, [buffer], offset, flags)
            except OSError as error:
                # Or a file system that does not know the question.
                raise (_NotInMemoryError if flags else error) from None
            if got < wanted and flags:
                raise _NotInMemoryError
            data = bytes(buffer[:got])
        # Looked at behind the reading: a file that was truncated before is not taken for what it was.
        holds = (
            os.pread(self._fd, len(tail), offset - len(tail)) == tail
            and os.pread(self._fd, len(head), 0) == head
        )
        return Piece(data, status.st_size, status.st_mtime, holds and status.st_size >= offset)

    def close(self) -> None:
        """Close it; where a disk may hang, without waiting for it."""
        if not self.remote:
            self._file.close()
            return
        with contextlib.suppress(SourceError):
            self._disk.submit(self._file.close)


class FileReader:
    """A file of the log `path`, and the content that is read from it."""

    def __init__(self, path: str, opened: Opened, disk: Disk) -> None:
        self.path, self.name = path, opened.path
        self.key: FileKey = opened.key
        self.content = opened.content
        self.packed = opened.packed
        self.quiet_since = time.monotonic()
        # It was truncated: it holds something else now.
        self.restarted = False
        # More of it is there, and others have their turn.
        self.unfinished = False
        self._opened = opened.file
        self._file: Plain | Packed = (Packed if opened.packed else Plain)(opened.file, disk)
        self._skipping = self._begun = False
        self._size = -1

    def anew(self, content: Content) -> None:
        """The file begins anew, with this content."""
        self.content.being_read, content.being_read = False, True
        self.content, self.restarted, self._skipping = content, False, False

    @property
    def opened(self) -> Opened:
        """The file as it is read now."""
        return Opened(self.name, self.key, self._opened, self.content, self.packed)

    @property
    def unlinked(self) -> bool:
        """Whether no name leads to it any more. Of a network file system that is not asked: it may hang."""
        local = isinstance(self._file, Plain) and not self._file.remote
        return local and os.fstat(self._opened.fileno()).st_nlink == 0

    async def begin(self, known: RecentLogins) -> bool:
        """Go to where a packed file goes on; False if all of it was read. BROKEN."""
        if self._begun or not isinstance(self._file, Packed):
            return True
        self._begun = True
        found = await self._file.forward(self.content.offset, self.content.tail)
        if found is False:
            # It only begins as the content that it was taken for.
            await self._file.rewind()
            self.anew(known.new(0, 0, self.content.head))
        return found is not None

    def close(self) -> None:
        """Read it no more."""
        self.content.being_read = False
        self._file.close()

    async def _piece(self, length: int) -> Piece:
        if isinstance(self._file, Plain):
            return await self._file.piece(self.content, length)
        data = await self._file.read(self.content.offset, length)
        # Nobody knows its size before its end.
        return Piece(data, self.content.offset + len(data), 0.0, True)

    async def next(self, length: int, *, live: bool, last: bool = False) -> Block | None:
        """The next whole lines, or None at the end. An incomplete last line waits for its rest, unless this
        is the `last` look at the file. None too where it was truncated: `restarted` says so then."""
        while True:
            piece = await self._piece(length)
            self.restarted = not piece.holds
            if piece.size != self._size:
                self._size, self.quiet_since = piece.size, time.monotonic()
            if self.restarted or not piece.data:
                return None
            data = piece.data
            behind = piece.size > self.content.offset + len(data)
            if not self._passed(data, more=behind):
                break
        cut = data.rfind(b"\n") + 1
        if cut:
            data = data[:cut]
            self.content.advance(data)
        elif len(data) >= LONGEST:
            self.content.advance(data)
            self._skipping = True
            data = data[:LONGEST] + b"\n"
        elif (last and not behind) or self.packed:
            self.content.advance(data)
            data += b"\n"
        else:
            return None
        written = piece.changed if behind else None
        return Block(_cleaned(data), self.content.position(self.path), live, time.time(), written)

    def _passed(self, data: bytes, *, more: bool) -> bool:
        """Pass over the rest of a line that is too long, and zeros before a line; whether it did."""
        if self._skipping:
            newline = data.find(b"\n")
            self.content.advance(data if newline < 0 else data[: newline + 1])
            self._skipping = newline < 0
            return True
        if data.startswith(b"\0") and not self.packed:
            zeros = len(data) - len(data.lstrip(b"\0"))
            # Those at the end may become something else: another host's writes arrive in pieces.
            if zeros < len(data) or more:
                self.content.advance(data[:zeros])
                return True
        return False


def is_utf16(head: bytes) -> bool:
    """Whether a text that begins so is written in two bytes a character."""
    if head.startswith(_UTF16_MARKS):
        return True
    pairs = len(head) // 2
    odd, even = head[1::2].count(0), head[::2].count(0)
    return pairs >= 8 and max(odd, even) > pairs * 3 // 4 and min(odd, even) < pairs // 4


def _cleaned(data: bytes) -> bytes:
    if b"\0" in data or _UTF8_MARK in data:
        return _BEFORE_A_LINE.sub(rb"\1", data)
    return data
