"""Follows one log over rotation, truncation and restart, and returns complete lines in blocks.

Each content is read once, from its position, whatever happens to file names. A renamed file is read to its
end and watched for late writes for a while, in parallel with the new file; lines that are only left in a copy
or a compressed file are read there.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

from sidecar.model import Block, Instant, Position, SourceError
from sidecar.sources.files.compressed import BROKEN
from sidecar.sources.files.content import MARK, Beginning, FileKey, Look, Opened
from sidecar.sources.files.descriptors import reason
from sidecar.sources.files.disk import Disk
from sidecar.sources.files.file_reader import FileReader, is_utf16
from sidecar.sources.files.file_watcher import FileWatcher
from sidecar.sources.files.log_files import LogFiles
from sidecar.sources.files.rotation import Found
from sidecar.sources.lines.line_format import LONGEST, Lines, PlainLines

_log = logging.getLogger("zmban.sources")

BLOCK = 1 << 20
# How long to watch a renamed file: programs write to it until they are told to reopen the log.
LATE_SECONDS = 60.0
# How long a log may have no file before that is an error: a rotation takes a moment.
_GONE_SECONDS = 5.0
# How many times in a row the current file waits for older ones while names keep changing.
_MOST_PUT_OFF = 100
# Interval of checking for changed names where inotify works.
_ASK_SECONDS = 10.0
# Maximum number of blocks of one file before the other files have their turn.
_TURN = 16
_UTF16 = "the text is UTF-16; only UTF-8 is supported"
# With more open files than this, a file is closed as soon as it was read to its end.
_MOST_READ = 32


class Follower:
    """Follows one path while `blocks` is iterated. Never retries: SourceError ends it.

    `positions`: the positions of all known contents, the one that was read last first. `length`: bytes per
    read; the caller may change it. `beginning` and `oldest`: see `LogFiles`. `file`: where the log lies, if
    it is not called so. `lines` makes the format of each of its files.
    """

    def __init__(
        self,
        path: str,
        wake: FileWatcher,
        disk: Disk,
        positions: Sequence[Position] = (),
        *,
        beginning: Beginning = lambda _: 0,
        oldest: Callable[[], Instant] = lambda: 0.0,
        file: str = "",
        lines: Lines = PlainLines,
    ) -> None:
        self.path, self._file, self._lines = path, file or path, lines
        self.length = LONGEST
        self._wake, self._disk = wake, disk
        self._files = LogFiles(self._file, positions, beginning, oldest)
        self._live = False
        self._at_end: Callable[[], None] = lambda: None
        self._readings: list[FileReader] = []
        self._current: FileKey | None = None
        self._had_one = False
        self._asked = 0.0
        self._closed = False
        # Why there is no current file to read, and the monotonic time from which that is an error.
        self._trouble: tuple[str, float] | None = None

    @property
    def positions(self) -> list[Position]:
        """The positions of all known contents, the one that was read last first."""
        return self._files.known.positions(self.path)

    @property
    def unread(self) -> list[str]:
        """Why some files of the log are not read."""
        return list(self._files.unread.values())

    @property
    def renamed(self) -> Found | None:
        """The file that had the name of the log last, if it may still be written to."""
        return self._files.listed and self._files.listed.renamed

    @property
    def keys(self) -> set[FileKey]:
        """Keys of the files that are open for reading."""
        return {reading.key for reading in self._readings}

    def on_end(self, reached: Callable[[], None]) -> None:
        """Set a callback for whenever the end of the log is reached, so that there is no backlog."""
        self._at_end = reached

    async def blocks(self) -> AsyncGenerator[Block, None]:
        """Blocks until cancelled. SourceError if the log cannot be opened or read."""
        look, put_off = True, 0
        try:
            while True:
                again = False
                if look:
                    known, again = await self._look()
                    if known is not None:
                        yield known
                # After a downtime the older files come first, however many there are.
                put_off = put_off + 1 if again and not self._live and put_off < _MOST_PUT_OFF else 0
                for reading in list(self._readings):
                    if put_off and (reading.key == self._current or reading.continues):
                        continue
                    async for block in self._read_turn(reading):
                        # Look again before a backlog counts as read, and after an older file, of which
                        # another file may be a longer copy.
                        again |= not self._live or reading.key != self._current
                        yield block
                    again |= self._restarted(reading) or reading.unfinished
                again, self._closed = again or self._closed, False
                look = again
                if not again:
                    async for block in self._last_lines():
                        yield block
                    self._reached_end()
                    names = await self._wake.wait(self.path)
                    look = bool(names or self._trouble) or await self._changed(heard=names is not None)
        finally:
            while self._readings:
                self._readings.pop().close()

    async def _look(self) -> tuple[Block | None, bool]:
        """Open the files to read. A block without lines that carries their positions, or None; and whether to
        look again at once."""
        try:
            look = await self._disk.ask(self._look_beside, [reading.opened for reading in self._readings])
        except (OSError, SourceError) as error:
            # A rotation leaves the name without a file for a moment, but never with another kind of file.
            grace = 0.0 if isinstance(error, SourceError) else _GONE_SECONDS
            self._trouble = self._trouble or (_text(self._file, error), time.monotonic() + grace)
            return None, False
        try:
            opened = [FileReader(self.path, one, self._disk, self._lines) for one in look.opened]
        except BaseException:
            look.close()
            raise
        self._current = look.current
        for reading in [one for one in self._readings if one.key in look.over]:
            self._close(reading)
        self._readings = sorted(
            [*self._readings, *opened], key=lambda one: (one.key == look.current, one.late)
        )
        for number, reading in enumerate(self._readings):
            reading.follow(self._readings[:number])
        if look.current is not None:
            self._trouble, self._had_one = None, True
        elif self._trouble is None:
            gone = f"{self._file} cannot be read: No such file or directory"
            self._trouble = gone, time.monotonic() + _GONE_SECONDS
        told = [c.position(self.path) for c in (*look.told, *(one.content for one in opened))]
        if not told:
            return None, look.again
        return Block(b"", told[-1], self._live, time.time(), None, tuple(told[:-1])), look.again

    def _look_beside(self, reading: Sequence[Opened]) -> Look:
        try:
            return self._files.look(reading)
        finally:
            places = self._files.listed.places if self._files.listed else ()
            self._wake.watch(self.path, places, self._file)

    async def _changed(self, *, heard: bool) -> bool:
        """Whether names may have changed without an event; checked rarely if inotify works (`heard`)."""
        now = time.monotonic()
        if heard and now < self._asked + _ASK_SECONDS:
            return False
        self._asked = now
        try:
            return await self._disk.ask(self._files.changed)
        except (OSError, SourceError):
            return True

    def _reached_end(self) -> None:
        """Report that there is no backlog. SourceError if there is no file to read."""
        if self._trouble is None:
            self._live = True
            self._at_end()
            return
        if self._is_gone():
            raise SourceError(self._trouble[0])

    def _is_gone(self) -> bool:
        """Whether there is no current file, and that is not a rotation."""
        if self._trouble is None:
            return False
        return not self._had_one or time.monotonic() >= self._trouble[1]

    async def _last_lines(self) -> AsyncIterator[Block]:
        """The last lines without newline of deleted files, which are lost when the files are closed."""
        for reading in self._readings if self._is_gone() else ():
            if reading.unlinked:
                with contextlib.suppress(*BROKEN):
                    while block := await reading.next(LONGEST, live=self._live, last=True):
                        yield block

    async def _read_turn(self, reading: FileReader) -> AsyncIterator[Block]:
        """Read one file to its end; a live file only for some blocks, so that the other files have their
        turn."""
        current = reading.key == self._current
        try:
            if not await reading.begin(self._files.known):
                self._leave(reading)
                return
            blocks, reading.unfinished = 0, False
            while block := await reading.next(max(self.length, LONGEST), live=self._live):
                if block.position.offset - len(block.data) < MARK and is_utf16(reading.content.head):
                    # Nothing of it counts as read, so that the next try fails too.
                    reading.content.offset, reading.content.tail = 0, b""
                    raise OSError(_UTF16)
                yield block
                blocks += 1
                if blocks >= _TURN and (current or self._live):
                    reading.unfinished = True
                    return
            if reading.restarted or current:
                return
            over = time.monotonic() - reading.quiet_since > LATE_SECONDS
            if over or reading.packed or len(self._readings) > _MOST_READ:
                while block := await reading.next(LONGEST, live=self._live, last=True):
                    yield block
                yield self._read_to_its_end(reading)
                self._close(reading)
        except BROKEN as error:
            if current:
                raise SourceError(_text(self._file, error)) from error
            _log.warning("cannot continue to read %s (%s); the rest of it is lost", reading.name, error)
            self._leave(reading)

    def _read_to_its_end(self, reading: FileReader) -> Block:
        if reading.packed:
            reading.content.inode = reading.key[1]
        return Block(b"", reading.content.position(self.path), self._live, time.time())

    def _leave(self, reading: FileReader) -> None:
        """Close a file, and do not read it again unless it changes."""
        self._files.leave(reading.key)
        self._close(reading)

    def _close(self, reading: FileReader) -> None:
        # Another file may hold more of the same content.
        self._closed = True
        self._readings.remove(reading)
        reading.close()

    def _restarted(self, reading: FileReader) -> bool:
        """Whether a file was truncated. It is then read from its beginning; the old content is read from a
        copy."""
        if reading.restarted:
            reading.anew(self._files.known.new(reading.key[1]))
            return True
        return False


def _text(path: str, error: Exception) -> str:
    if isinstance(error, SourceError):
        return str(error)
    return f"{path} cannot be read: {reason(error)}"
