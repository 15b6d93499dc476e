"""Reads the lines of a log, and of its rotated files, that were not counted yet."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import FileIO
from typing import IO

from sidecar.model import Instant, SourceError
from sidecar.sources.files import compressed
from sidecar.sources.files.content import MARK, Content, KnownContents, look_into
from sidecar.sources.files.descriptors import open_regular
from sidecar.sources.files.rotation import Found, listing
from sidecar.store.review_store import CountedLog

_BLOCK = 1 << 20
# A line that is longer is skipped.
_LONGEST = 1 << 24
_MOST_PACKED = 100


class UnreadLines:
    """The files of one log. `blocks` gives whole lines; `counted` says how far they were read."""

    def __init__(self, path: str, before: CountedLog, since: Instant) -> None:
        """A file that was never read counts only if it was written after `since`."""
        self._path, self._since = path, since
        self._known = KnownContents(before.positions)
        self._packed = list(before.packed)
        self.faults: list[str] = []

    def counted(self, state: dict[str, object]) -> CountedLog:
        """For the database, with what the next lines need."""
        positions = tuple(self._known.positions(self._path))
        return CountedLog(positions, state, tuple(self._packed[-_MOST_PACKED:]))

    def blocks(self) -> Iterator[bytes]:
        """The unread lines, those of the oldest file first."""
        try:
            listed = listing(self._path)
        except OSError as error:
            self.faults.append(f"{self._path}: {error.strerror or error}")
            return
        older = [one for one in listed.others if one.rotated]
        for one in older:
            if not compressed.is_packed(one.path):
                yield from self._safely(one.path, self._plain, one)
            elif one.mark not in self._packed:
                yield from self._safely(one.path, self._unpacked, one)
                self._packed.append(one.mark)
        if listed.current is not None:
            yield from self._safely(self._path, self._plain, None)

    def _safely(
        self, path: str, read: Callable[[FileIO, Found | None], Iterator[bytes]], found: Found | None
    ) -> Iterator[bytes]:
        """Read a file that may be gone or damaged."""
        try:
            with open_regular(path) as file:
                yield from read(file, found)
        except FileNotFoundError:
            return
        except SourceError as error:
            self.faults.append(str(error))
        except compressed.BROKEN as error:
            self.faults.append(f"{path}: {error}")

    def _plain(self, file: FileIO, found: Found | None) -> Iterator[bytes]:
        seen = look_into(file)
        content = self._known.own(seen) or self._known.copied(seen)
        if content is None:
            if found is not None and found.changed < self._since * 1e9:
                return
            content = self._known.new(seen.inode, head=seen.head)
        self._known.used(content)
        content.inode, content.head = seen.inode, max(content.head, seen.head, key=len)
        if content.offset > seen.size:
            return
        file.seek(content.offset)
        yield from self._whole_lines(file, content)

    def _unpacked(self, file: FileIO, found: Found | None) -> Iterator[bytes]:
        with compressed.unpacking(file) as unpacked:
            head = unpacked.read(MARK)
            content = next(iter(self._known.beginning(head)), None)
            if content is None:
                if found is not None and found.changed < self._since * 1e9:
                    return
                content = self._known.new(0, head=head)
            elif compressed.holds(file, content.offset):
                return
            unpacked.seek(0)
            if not _skipped(unpacked, content):
                self.faults.append(f"{self._path}: a compressed file is not the one that was read before")
                return
            yield from self._whole_lines(unpacked, content)

    @staticmethod
    def _whole_lines(file: IO[bytes] | FileIO, content: Content) -> Iterator[bytes]:
        """From the position of a content to its last newline; the content advances with what was taken."""
        rest = b""
        while data := file.read(_BLOCK):
            whole, newline, behind = (rest + data).rpartition(b"\n")
            if newline:
                content.advance(whole + newline)
                yield whole + newline
                rest = behind
            elif len(behind) > _LONGEST:
                content.advance(behind)
                rest = b""
            else:
                rest = behind


def _skipped(file: IO[bytes], content: Content) -> bool:
    """Skip what was read of a content. Whether the bytes before its position are those that were read."""
    begin = max(0, content.offset - len(content.tail))
    with suppress(EOFError):
        while begin > 0 and (passed := file.read(min(begin, _BLOCK))):
            begin -= len(passed)
        return begin == 0 and file.read(len(content.tail)) == content.tail
    return False


def last_write(path: str) -> Instant:
    """When a file was written last; 0 if it is not there."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
