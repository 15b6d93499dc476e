"""A follower that collects its lines."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from sidecar.model import Position
from sidecar.sources.files.disk import Disk
from sidecar.sources.files.file_watcher import FileWatcher
from sidecar.sources.files.follower import Follower


class Reader:
    """Collects the lines of one follower, and its last position."""

    def __init__(self, path: Path, positions: Sequence[Position] = (), beginning: int = 0) -> None:
        self.lines: list[bytes] = []
        self.live: list[bool] = []
        self._wake = FileWatcher()
        self._follower = Follower(
            str(path), self._wake, Disk(str(path)), positions, beginning=lambda _: beginning
        )

    @property
    def position(self) -> list[Position]:
        """All known positions, as stored in the database."""
        return list(self._follower.positions)

    @property
    def unread(self) -> list[str]:
        """Why some files of the log are not read."""
        return self._follower.unread

    async def read_all(self) -> None:
        """Wait until the end of the log is reached: later lines are live."""
        reached = asyncio.Event()
        self._follower.on_end(reached.set)
        async with asyncio.timeout(5):
            await reached.wait()

    async def run(self) -> None:
        async with aclosing(self._follower.blocks()) as blocks:
            async for block in blocks:
                if block.data:
                    self.live.append(block.live)
                self.lines += block.data.splitlines()

    async def until(self, *lines: bytes) -> None:
        for _ in range(400):
            if self.lines == list(lines):
                return
            await asyncio.sleep(0.01)
        assert self.lines == list(lines)


@asynccontextmanager
async def reading(
    path: Path, positions: Sequence[Position] = (), beginning: int = 0
) -> AsyncIterator[Reader]:
    reader = Reader(path, positions, beginning)
    tasks = [asyncio.create_task(reader._wake.run()), asyncio.create_task(reader.run())]
    try:
        yield reader
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


async def read_once(path: Path) -> list[Position]:
    """The positions of a log after its first line was read and the follower was stopped."""
    async with reading(path) as reader:
        await reader.until(b"one")
        return reader.position
