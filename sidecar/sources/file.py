"""One log, followed: whole lines in blocks, over rotation, truncation and a restart.

A follower reads on where its positions say. A renamed file is read to its end, and watched a while for late
writes, while the new one of its name is read already; what a copy or a packed file still holds is read there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from sidecar.model import Block, Position, SourceError
from sidecar.sources import content
from sidecar.sources.content import Sibling
from sidecar.sources.reading import LONGEST, Packed, Plain, Reading
from sidecar.sources.wake import Wake

_log = logging.getLogger("zmban.sources")

BLOCK = 1 << 20
# Programs go on writing into a renamed log until they are told to open the new one.
_LATE_SECONDS = 60.0
# So much older may a file look than the one before it, which is written to for a while yet.
_SLACK_NS = 2 * 60 * 10**9
_LATELY = 3
_MOST_KNOWN = 64
# Where to begin in a log that was never read: from its path to an offset.
Beginning = Callable[[str], int]


class Follower:
    """Follows one path for as long as it is iterated. Never retries: SourceError ends it.

    `positions` are those of all its files that are known, the one read last first. `length` is how much is
    read in one go; who iterates may change it.
    """

    def __init__(
        self,
        path: str,
        wake: Wake,
        positions: Sequence[Position] = (),
        *,
        beginning: Beginning = lambda _: 0,
    ) -> None:
        self.path = path
        self.length = LONGEST
        self._wake = wake
        self.positions = list(positions)
        self._beginning = beginning
        self._live = False
        self._at_end: Callable[[], None] = lambda: None
        self._late: list[tuple[Reading, float]] = []
        # The inodes of all files that were there when the following began, or were read since.
        self._seen: set[int] = set()

    def on_end(self, reached: Callable[[], None]) -> None:
        """Call this whenever the end of the file is reached: there is no backlog then."""
        self._at_end = reached

    async def blocks(self) -> AsyncIterator[Block]:
        """Blocks until cancelled. SourceError where the file cannot be opened or read."""
        current: Reading | None = None
        try:
            known = list(self.positions)
            async for block in self._left_behind():
                yield block
            current = await self._begin(known)
            yield self._opened(current)
            async for block in self._between():
                yield block
            while True:
                async for block in self._drain(current):
                    yield block
                self._live = True
                self._at_end()
                await self._wake.wait(self.path)
                async for block in self._drain_late():
                    yield block
                if current.restarted():
                    async for block in self._copied(current):
                        yield block
                    async for block in self._between():
                        yield block
                    current.rewind()
                elif self._replaced(current):
                    async for block in self._drain(current):
                        yield block
                    self._late.append((current, time.monotonic() + _LATE_SECONDS))
                    current = await self._open(0)
                    yield self._opened(current)
                    # Looked for when the next file is open already: what bears the name later is seen then.
                    async for block in self._between():
                        yield block
        except OSError as error:
            raise SourceError(
                f"{self.path} cannot be read: {getattr(error, 'strerror', '') or error}"
            ) from error
        finally:
            for file, _ in [*self._late, *([(current, 0.0)] if current else [])]:
                await file.file.close()

    async def _open(self, offset: int) -> Reading:
        opened = Reading(self.path, await Plain.open(self.path), offset)
        self._seen.add(opened.inode)
        return opened

    def _opened(self, file: Reading) -> Block:
        """A block without a line, so that it is known from which file the next ones come."""
        position = file.position()
        self._note(position)
        return Block(b"", position, self._live, time.time())

    async def _begin(self, known: Sequence[Position]) -> Reading:
        """Open the file that bears the name now, where its reading has to go on."""
        if not self.positions:
            # What lay beside a log that was never read is older.
            self._seen |= {s.inode for s in await asyncio.to_thread(content.siblings, self.path)}
            return await self._open(await asyncio.to_thread(self._beginning, self.path))
        return await self._open(content.known_at(self.path, [*self.positions, *known]) or 0)

    async def _drain(self, file: Reading, *, last: bool = False) -> AsyncIterator[Block]:
        while block := await file.next(max(self.length, LONGEST), live=self._live, last=last):
            self._note(block.position)
            yield block

    def _note(self, position: Position) -> None:
        """Keep what is known of each file, the newest first."""
        # An inode may bear another file by now, which begins with something else.
        others = [
            p for p in self.positions if p.inode != position.inode or not position.head.startswith(p.head)
        ]
        self.positions = [position, *others][:_MOST_KNOWN]

    async def _drain_late(self) -> AsyncIterator[Block]:
        """What programs still write into files that were renamed. A line without an end is handed on when
        nobody writes any more."""
        for file, until in list(self._late):
            over = time.monotonic() > until
            self._late.remove((file, until))
            async for block in self._drain(file, last=over):
                until = time.monotonic() + _LATE_SECONDS
                yield block
            if over:
                await file.file.close()
            else:
                self._late.append((file, until))

    def _replaced(self, current: Reading) -> bool:
        """Whether another file bears the name now. A name that is gone for the moment is waited for."""
        try:
            return os.stat(self.path).st_ino != current.inode
        except FileNotFoundError:
            return False

    async def _between(self) -> AsyncIterator[Block]:
        """Files that bore the name for so short a time that they were not opened under it."""
        for sibling in await asyncio.to_thread(content.siblings, self.path):
            if sibling.inode in self._seen:
                continue
            self._seen.add(sibling.inode)
            offset = await asyncio.to_thread(content.known, sibling, self.positions)
            async for block in self._rest(sibling, offset or 0):
                yield block

    async def _copied(self, current: Reading) -> AsyncIterator[Block]:
        """The file was copied and truncated: the rest of what it was, from the copy."""
        was = [p for p in self.positions if p.inode == current.inode][:1]
        for sibling in reversed(await asyncio.to_thread(content.siblings, self.path)):
            offset = await asyncio.to_thread(content.known, sibling, was) if was else None
            if offset == current.offset:
                async for block in self._rest(sibling, offset):
                    yield block
                return

    async def _rest(self, sibling: Sibling, offset: int) -> AsyncIterator[Block]:
        """A file that bears the name no more, from an offset; a plain one may still be written to."""
        self._seen.add(sibling.inode)
        if sibling.packed:
            async for block in self._unpacked(sibling, offset):
                yield block
            return
        reading = Reading(self.path, await Plain.open(sibling.path), offset)
        yield self._opened(reading)
        async for block in self._drain(reading):
            yield block
        self._late.append((reading, time.monotonic() + _LATE_SECONDS))

    async def _unpacked(self, sibling: Sibling, offset: int) -> AsyncIterator[Block]:
        """The rest of a packed file; what cannot be unpacked is said, and nothing waits for it."""
        try:
            file = await Packed.open(sibling)
            try:
                async for block in self._drain(Reading(self.path, file, offset), last=True):
                    yield block
            finally:
                await file.close()
        except content.BROKEN as error:
            _log.warning("%s cannot be unpacked (%s); what it holds is not read", sibling.path, error)

    async def _left_behind(self) -> AsyncIterator[Block]:
        """After a restart: the rest of files that were renamed, copied or packed while nobody looked, and all
        of those that bore the name in between."""
        if not self.positions:
            return
        for sibling, offset in await asyncio.to_thread(self._unread):
            async for block in self._rest(sibling, offset):
                yield block

    def _unread(self) -> list[tuple[Sibling, int]]:
        """The siblings that hold lines not yet read, oldest first, and from where on."""
        newest = self.positions[0]
        current = content.known_at(self.path, self.positions)
        anchored = content.known_at(self.path, [newest]) is not None
        # To find a place in a packed file all before it is unpacked: only for what was read lately.
        listed = content.siblings(self.path)
        self._seen |= {s.inode for s in listed}
        found = [
            (s, content.known(s, self.positions[:_LATELY] if s.packed else self.positions)) for s in listed
        ]
        mine = [s for s, offset in found if offset is not None and content.known(s, [newest]) is not None]
        since = None if anchored or not mine else mine[-1].changed - _SLACK_NS
        unread: list[tuple[Sibling, int]] = []
        told: set[bytes] = set()
        for sibling, offset in found:
            if offset is None:
                if sibling.packed and content.begins_as(sibling, self.positions):
                    continue
                if since is not None and sibling.changed >= since:
                    unread.append((sibling, 0))
                continue
            # Of several copies of one content one is read; the file that bears the name stands for its own.
            with sibling.open() as file:
                mark = file.read(content.MARK)
            if not mark or (mark not in told and not (current and self._bears(mark))):
                told.add(mark)
                unread.append((sibling, offset))
        return unread

    def _bears(self, mark: bytes) -> bool:
        """Whether the file that bears the name begins so."""
        with Path(self.path).open("rb") as file:
            return file.read(len(mark)) == mark
