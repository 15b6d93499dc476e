"""One log file, followed: whole lines in blocks, over rotation, truncation and a restart.

A follower reads on where its position says. A renamed file is read to its end, and watched a while for
late writes, while the new one of its name is read already.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiofiles
from aiofiles.threadpool.binary import AsyncBufferedReader

from sidecar.model import Block, Position, SourceError
from sidecar.sources.wake import Wake

BLOCK = 1 << 20
# A line longer than this is handed on cut, so that it is refused and counted instead of held in memory.
LONGEST = 1 << 17
# How many first bytes tell one file from another with the same inode.
_HEAD = 64
# Programs go on writing into a renamed log until they are told to open the new one.
_LATE_SECONDS = 60.0
_PACKED = (".gz", ".bz2", ".xz", ".zst")


class _Open:
    """An open file and how far it was read: everything before `offset` has been handed on."""

    def __init__(self, path: str, file: AsyncBufferedReader, offset: int) -> None:
        self.path, self.file, self.offset = path, file, offset
        self.inode = os.fstat(file.fileno()).st_ino
        self.skipping = False

    @property
    def head(self) -> bytes:
        """The first bytes, as far as they are handed on."""
        return os.pread(self.file.fileno(), min(_HEAD, self.offset), 0)

    def position(self) -> Position:
        return Position(self.path, self.inode, self.offset, self.head)

    def restarted(self, position: Position) -> bool:
        """Whether the file was truncated (and perhaps grew again) since this position."""
        if os.fstat(self.file.fileno()).st_size < position.offset:
            return True
        return os.pread(self.file.fileno(), len(position.head), 0) != position.head

    async def _next(self) -> bytes:
        await self.file.seek(self.offset)
        return await self.file.read(BLOCK)

    async def read(self, *, live: bool) -> Block | None:
        """The next whole lines, or None at the end. An incomplete last line waits for its rest."""
        data = await self._next()
        while self.skipping and data:
            newline = data.find(b"\n")
            self.offset += newline + 1 if newline >= 0 else len(data)
            self.skipping = newline < 0
            data = await self._next()
        cut = data.rfind(b"\n") + 1
        if cut:
            data = data[:cut]
            self.offset += cut
        elif len(data) >= LONGEST:
            self.offset += len(data)
            self.skipping = True
            data = data[:LONGEST] + b"\n"
        else:
            return None
        return Block(data, self.position(), live, time.time())


class Follower:
    """Follows one path for as long as it is iterated. Never retries: SourceError ends it."""

    def __init__(
        self, path: str, wake: Wake, position: Position | None = None, *, tail: bool = False
    ) -> None:
        self.path = path
        self._wake = wake
        self._position = position
        self._tail = tail
        self._live = False
        self._at_end: Callable[[], None] = lambda: None
        self._late: list[tuple[_Open, float]] = []

    def on_end(self, reached: Callable[[], None]) -> None:
        """Call this whenever the end of the file is reached: there is no backlog then."""
        self._at_end = reached

    async def blocks(self) -> AsyncIterator[Block]:
        """Blocks until cancelled. SourceError where the file cannot be opened or read."""
        current: _Open | None = None
        try:
            async for block in self._predecessor():
                yield block
            current = await self._open(self._start())
            while True:
                async for block in self._drain(current):
                    yield block
                self._live = True
                self._at_end()
                await self._wake.wait(self.path)
                async for block in self._drain_late():
                    yield block
                if current.restarted(self._last(current)):
                    current.offset, current.skipping = 0, False
                elif self._replaced(current):
                    async for block in self._drain(current):
                        yield block
                    self._late.append((current, time.monotonic() + _LATE_SECONDS))
                    current = await self._open(0)
        except OSError as error:
            raise SourceError(f"{self.path} cannot be read: {error.strerror or error}") from error
        finally:
            for file, _ in [*self._late, *([(current, 0.0)] if current else [])]:
                await file.file.close()

    def _last(self, current: _Open) -> Position:
        if self._position is None or self._position.inode != current.inode:
            return Position(self.path, current.inode, current.offset, b"")
        return self._position

    def _start(self) -> int:
        """Where to begin in the file that bears the name now."""
        status = os.stat(self.path)
        saved = self._position
        if saved is None:
            return status.st_size if self._tail else 0
        if saved.inode != status.st_ino or saved.offset > status.st_size:
            return 0
        with Path(self.path).open("rb") as file:
            return saved.offset if file.read(len(saved.head)) == saved.head else 0

    async def _open(self, offset: int) -> _Open:
        opened = _Open(self.path, await aiofiles.open(self.path, "rb"), offset)
        self._position = opened.position()
        return opened

    async def _drain(self, file: _Open) -> AsyncIterator[Block]:
        while block := await file.read(live=self._live):
            if file.inode == block.position.inode:
                self._position = block.position
            yield block

    async def _drain_late(self) -> AsyncIterator[Block]:
        """What programs still write into files that were renamed; their position is no longer ours."""
        now = time.monotonic()
        for file, until in list(self._late):
            while block := await file.read(live=True):
                kept = self._position or block.position
                yield Block(block.data, kept, True, block.read_at)
            if now > until:
                self._late.remove((file, until))
                await file.file.close()

    def _replaced(self, current: _Open) -> bool:
        """Whether another file bears the name now. A name that is gone for the moment is waited for."""
        try:
            return os.stat(self.path).st_ino != current.inode
        except FileNotFoundError:
            return False

    async def _predecessor(self) -> AsyncIterator[Block]:
        """After a restart: what was renamed, or copied away, while nobody looked; then what followed it."""
        saved = self._position
        if saved is None or (self._start() == saved.offset and os.stat(self.path).st_ino == saved.inode):
            return
        siblings = self._siblings()
        mine = [s for s in siblings if s[1].st_ino == saved.inode] or siblings
        left = next(
            (s for s in mine if s[1].st_size >= saved.offset and self._begins(s[0], saved.head)), None
        )
        if left is None:
            return
        newer = [s for s in siblings if s[1].st_mtime_ns > left[1].st_mtime_ns]
        for path, offset in [(left[0], saved.offset), *((s[0], 0) for s in newer)]:
            async with aiofiles.open(path, "rb") as file:
                old = _Open(self.path, file, offset)
                while block := await old.read(live=False):
                    yield block

    def _siblings(self) -> list[tuple[Path, os.stat_result]]:
        """The other files that begin with this log's name, oldest first; packed ones cannot be read on."""
        name, current = Path(self.path), os.stat(self.path).st_ino
        found = [(p, p.stat()) for p in name.parent.glob(f"{name.name}?*") if p.is_file()]
        plain = [
            f for f in found if f[1].st_ino != current and f[0].suffix not in (".gz", ".bz2", ".xz", ".zst")
        ]
        return sorted(plain, key=lambda file: file[1].st_mtime_ns)

    @staticmethod
    def _begins(path: Path, head: bytes) -> bool:
        with path.open("rb") as file:
            return bool(head) and file.read(len(head)) == head
