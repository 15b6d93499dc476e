"""One open file of a log, read in blocks of whole lines, which its format makes of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import aiofiles.threadpool

from sidecar.model import Block, Position, Seconds, SourceError
from sidecar.sources.files.compressed import Packed
from sidecar.sources.files.content import Content, FileKey, KnownContents, Opened
from sidecar.sources.files.disk import PATIENCE, Disk, remote
from sidecar.sources.lines.line_format import Ends, Lines, PlainLines

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# What a format holds back is waited for so long, and over so many bytes.
_MOST_HELD: Seconds = 10.0
_MOST_HELD_BYTES = 1 << 20


class Piece(NamedTuple):
    """Bytes of a file at an offset, `size` and modification time of the file at that moment, and whether it
    still `holds` the content that was read before."""

    data: bytes
    size: int
    changed: float
    holds: bool


class _NotInMemoryError(Exception):
    """The data is not in the page cache."""


class Plain:
    """An uncompressed file. Cached data is read directly, other data in a thread; on a network file system,
    which may hang, all data is read in a thread."""

    def __init__(self, file: FileIO, disk: Disk) -> None:
        self._fd, self._disk = file.fileno(), disk
        self._file, self._aside = file, aiofiles.threadpool.wrap(file, executor=disk)
        self.remote = remote(Path(f"/proc/self/fd/{self._fd}").readlink()) is not None

    async def piece(self, content: Content, length: int) -> Piece:
        """Up to `length` of the next bytes; fewer at the end."""
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

    async def before(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes before an offset."""
        begin = max(0, offset - length)
        return await self._disk.ask(os.pread, self._fd, offset - begin, begin)

    def _piece(self, offset: int, length: int, head: bytes, tail: bytes, flags: int = 0) -> Piece:
        status = os.fstat(self._fd)
        wanted, data = min(length, status.st_size - offset), b""
        if wanted > 0:
            buffer = bytearray(wanted)
            try:
                got = os.preadv(self._fd, [buffer], offset, flags)
            except OSError as error:
                # Not cached, or the file system does not support RWF_NOWAIT.
                raise (_NotInMemoryError if flags else error) from None
            if got < wanted and flags:
                raise _NotInMemoryError
            data = bytes(buffer[:got])
        # Checked after the read, so that a truncation before it is always noticed.
        holds = (
            os.pread(self._fd, len(tail), offset - len(tail)) == tail
            and os.pread(self._fd, len(head), 0) == head
        )
        return Piece(data, status.st_size, status.st_mtime, holds and status.st_size >= offset)

    def close(self) -> None:
        """Close the file; on a network file system without waiting for it."""
        if not self.remote:
            self._file.close()
            return
        with contextlib.suppress(SourceError):
            self._disk.submit(self._file.close)


class FileReader:
    """Reads one file of the log `path`, and tracks its content.

    `lines` makes the format of the file. What is unfinished at the end of the file may go on in the next file
    of the log: `follow` tells that one.
    """

    def __init__(self, path: str, opened: Opened, disk: Disk, lines: Lines = PlainLines) -> None:
        self.path, self.name = path, opened.path
        self.key: FileKey = opened.key
        self.content = opened.content
        self.packed = opened.packed
        self.quiet_since = time.monotonic()
        # The file was truncated and holds another content now.
        self.restarted = False
        # There is more to read, after the other files.
        self.unfinished = False
        self._opened = opened.file
        self._file: Plain | Packed = (Packed if opened.packed else Plain)(opened.file, disk)
        # A position inside an overlong line: its rest is text that a client may have chosen, not a line.
        self._skipping = bool(opened.content.tail) and not opened.content.tail.endswith((b"\n", b"\0"))
        self._begun = self._looked_back = False
        self._size = -1
        self._new_lines, self._lines = lines, lines()
        # The files before, until the first lines of this one are taken; and that of them with the last line.
        self._before: list[FileReader] = []
        self._latest: FileReader | None = None
        # Whole raw lines that the format held back, their offset, and since when.
        self._held, self._held_at, self._held_since = b"", 0, 0.0

    @property
    def late(self) -> bool:
        """Whether a line may have begun in one of the compressed files: it is read behind them, whenever
        they were compressed."""
        return self._lines.joins and not self.packed

    @property
    def continues(self) -> bool:
        """Whether its first lines may be the rest of a line in a file before."""
        return bool(self._before)

    def follow(self, before: Iterable[FileReader]) -> None:
        """This file was begun when one of `before` was rotated: its first lines may be the rest of a line
        there."""
        if self._lines.joins and self.content.offset == 0:
            self._before += [one for one in before if one not in self._before]

    def anew(self, content: Content) -> None:
        """Read the file from its beginning, as this content."""
        self.content.being_read, content.being_read = False, True
        self.content, self.restarted, self._skipping = content, False, False
        self._lines, self._before, self._held, self._looked_back = self._new_lines(), [], b"", False

    @property
    def opened(self) -> Opened:
        """The open file and its current content."""
        return Opened(self.name, self.key, self._opened, self.content, self.packed)

    @property
    def unlinked(self) -> bool:
        """Whether the file was deleted. False on a network file system, where the call may hang."""
        local = isinstance(self._file, Plain) and not self._file.remote
        return local and os.fstat(self._opened.fileno()).st_nlink == 0

    async def begin(self, known: KnownContents) -> bool:
        """Skip to the position in a compressed file; False if all of it was read. BROKEN if it is damaged."""
        if self._begun or not isinstance(self._file, Packed):
            return True
        self._begun = True
        found = await self._file.forward(self.content.offset, self.content.tail)
        if found is False:
            # A different content with the same beginning.
            await self._file.rewind()
            self.anew(known.new(0, 0, self.content.head))
        return found is not None

    def close(self) -> None:
        """Stop reading the file."""
        self.content.being_read = False
        self._file.close()

    async def _piece(self, length: int) -> Piece:
        if isinstance(self._file, Plain):
            return await self._file.piece(self.content, length)
        data = await self._file.read(self.content.offset, length)
        # The uncompressed size is not known before the end.
        return Piece(data, self.content.offset + len(data), 0.0, True)

    async def next(self, length: int, *, live: bool, last: bool = False) -> Block | None:
        """The next complete lines, or None at the end. An incomplete last line is held back, unless this is
        the `last` read of the file. None too if the file was truncated; then `restarted` is set."""
        if not await self._ready():
            return None
        length = max(length, self._lines.longest)
        while True:
            piece = await self._piece(length)
            self.restarted = not piece.holds
            if piece.size != self._size:
                self._size, self.quiet_since = piece.size, time.monotonic()
            if self.restarted or not piece.data:
                return None
            behind = piece.size > self.content.offset + len(piece.data)
            # A compressed file no longer grows, and its size is not known before its end.
            ends = len(piece.data) < length if self.packed else last and not behind
            if self._passed(piece.data, more=behind):
                continue
            over = self._waited() if not behind else len(piece.data) >= _MOST_HELD_BYTES
            found = self._taken(piece.data, ends=ends, over=ends or over)
            if found is not None:
                text, told = found
                written = piece.changed if behind else None
                at = self.content.position(self.path)
                return Block(text, at, live, time.time(), written, tuple(told))
            if len(piece.data) < length or not self._held:
                return None
            length = max(length, _MOST_HELD_BYTES)

    async def _ready(self) -> bool:
        """Whether the files before were read to their end; look back before the first read."""
        if self._before:
            self._latest = max(self._before, key=lambda one: one.ends.last)
            self._lines.begin_with(self._latest.ends)
            return not any(one.unfinished for one in self._before)
        if self._lines.before and not self._looked_back and isinstance(self._file, Plain):
            self._lines.look_back(await self._file.before(self.content.offset, self._lines.before))
        self._looked_back = True
        return True

    def _waited(self) -> bool:
        """Whether lines at the end of the file were held back for long."""
        return bool(self._held) and time.monotonic() - self._held_since > _MOST_HELD

    def _taken(self, data: bytes, *, ends: bool, over: bool) -> tuple[bytes, list[Position]] | None:
        """The lines at the beginning of this data, and positions that are reached with them; None if there
        are none yet. `ends`: its last line needs no newline. `over`: nothing more is waited for."""
        cut = data.rfind(b"\n") + 1
        raw = data[:cut]
        if not cut and len(data) >= self._lines.longest:
            self.content.advance(data)
            self._skipping = True
            return self._lines.cut(data), []
        if not cut and ends:
            raw = data + b"\n"
        if not raw:
            self._held = b""
            return None
        length, text = self._lines.take(raw, over=False)
        if not length and over:
            length, text = self._lines.take(raw, over=True)
        if length or not self._held:
            self._held_at, self._held_since = self.content.offset + length, time.monotonic()
        self._held = raw[length:]
        if not length:
            return None
        told = self._pass_on()
        self._looked_back = True
        self.content.advance(data[:length])
        return text, told

    def _pass_on(self) -> list[Position]:
        told = self._latest.let_go() if self._before and self._latest else []
        self._before, self._latest = [], None
        return told

    @property
    def ends(self) -> Ends:
        """What is unfinished at the end of the file."""
        return self._lines.ends

    def let_go(self) -> list[Position]:
        """Count as read what was held back at the end of the file: it was passed on with the next file."""
        told = self._pass_on()
        if self.content.offset == self._held_at:
            self.content.advance(self._held)
        self._held = b""
        self._lines.begin_with(Ends())
        return [*told, self.content.position(self.path)]

    def _passed(self, data: bytes, *, more: bool) -> bool:
        """Skip the rest of an overlong line, or zeros before a line; whether anything was skipped."""
        if self._skipping:
            newline = data.find(b"\n")
            self.content.advance(data if newline < 0 else data[: newline + 1])
            self._skipping = newline < 0
            return True
        if data.startswith(b"\0") and not self.packed:
            zeros = len(data) - len(data.lstrip(b"\0"))
            # Zeros at the end of the file may still be overwritten: writes of another host arrive in pieces.
            if zeros < len(data) or more:
                self.content.advance(data[:zeros])
                return True
        return False


def is_utf16(head: bytes) -> bool:
    """Whether a text with this beginning is UTF-16."""
    if head.startswith(_UTF16_MARKS):
        return True
    pairs = len(head) // 2
    odd, even = head[1::2].count(0), head[::2].count(0)
    return pairs >= 8 and max(odd, even) > pairs * 3 // 4 and min(odd, even) < pairs // 4
