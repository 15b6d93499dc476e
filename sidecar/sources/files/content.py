"""Identifies the content of log files, independent of name and inode, and how far it was read.

Files of a log are renamed, copied, compressed and truncated, but their content stays the same. So a position
belongs to a content, never to a name: two files with the same content are read once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from io import FileIO
from typing import NamedTuple

from sidecar.model import Position

# Number of bytes at the beginning and before the position that identify a content: more than a line, because
# two files of a busy minute may begin alike.
MARK = 256
# Maximum number of known contents of one log, unless more are in its files.
MOST_KNOWN = 512


class Content:
    """One content: its first bytes, the offset up to which it was read, the last bytes before that, and the
    inode of the file that it was read from.

    `being_read`: a file with this content is open for reading. `head` may be longer than `offset`, because
    the beginning of a file is inspected before it is read.
    """

    __slots__ = ("being_read", "head", "inode", "number", "offset", "tail")

    def __init__(
        self, number: int, inode: int, offset: int = 0, head: bytes = b"", tail: bytes = b""
    ) -> None:
        self.number, self.inode, self.offset, self.head, self.tail = number, inode, offset, head, tail
        self.being_read = False

    def advance(self, data: bytes) -> None:
        """Note that these bytes at `offset` were read."""
        if len(self.head) < MARK and self.offset <= len(self.head):
            self.head = max(self.head, (self.head[: self.offset] + data)[:MARK], key=len)
        self.offset += len(data)
        self.tail = (self.tail + data[-MARK:])[-MARK:]

    def position(self, path: str) -> Position:
        """As stored in the database."""
        return Position(path, self.inode, self.offset, self.head, self.tail, self.number)


class Seen(NamedTuple):
    """An inspected file: inode, size, first bytes, and `peek(offset, length)`."""

    inode: int
    size: int
    head: bytes
    peek: Callable[[int, int], bytes]


class KnownContents:
    """The known contents of one log, the one that was read last at the end."""

    def __init__(self, positions: Iterable[Position] = ()) -> None:
        """`positions` as returned by `positions`."""
        self._contents: dict[int, Content] = {}
        for p in reversed(list(positions)):
            self._contents[p.content] = Content(p.content, p.inode, p.offset, p.head, p.tail)
        self._next = max(self._contents, default=0) + 1

    def __bool__(self) -> bool:
        return bool(self._contents)

    def __iter__(self) -> Iterator[Content]:
        return iter(list(self._contents.values()))

    def positions(self, path: str) -> list[Position]:
        """The position of each content, the one that was read last first."""
        return [content.position(path) for content in reversed(self._contents.values())]

    def new(self, inode: int, offset: int = 0, head: bytes = b"", tail: bytes = b"") -> Content:
        """Add a new content."""
        content = Content(self._next, inode, offset, head, tail)
        self._contents[content.number] = content
        self._next += 1
        return content

    def used(self, content: Content) -> None:
        """Note that a content was read or seen in a file, so that it is forgotten last."""
        self._contents.pop(content.number, None)
        self._contents[content.number] = content

    def forget(self, seen: Iterable[Content]) -> None:
        """Forget the oldest contents beyond the limit, except those `seen` in files."""
        kept = {content.number for content in seen}
        for number, content in list(self._contents.items()):
            if len(self._contents) <= MOST_KNOWN:
                return
            if number not in kept and not content.being_read:
                del self._contents[number]

    def own(self, seen: Seen) -> Content | None:
        """The content that this inode held at the last look and still holds, perhaps with more behind it.
        None if the inode was reused or the file was truncated."""
        fits = [c for c in self if c.inode == seen.inode and c.head and goes_on(c, seen)]
        return max(fits, key=lambda c: c.offset, default=None)

    def saw_empty(self, inode: int) -> bool:
        """Whether the file with this inode was empty at the last look."""
        return any(c.inode == inode and not c.head for c in self)

    def copied(self, seen: Seen) -> Content | None:
        """The content of which this file is a copy, or that it holds under a new inode. A copy shorter than
        the position of the content is an older copy: all of it was read."""
        fits = [c for c in self if c.head and goes_on(c, seen)]
        if not fits:
            fits = [c for c in self if max(c.offset, len(c.head)) >= seen.size and begins_as(c, seen.head)]
        return max(fits, key=lambda c: c.offset, default=None)

    def beginning(self, head: bytes) -> list[Content]:
        """The contents with this beginning, the one that was read furthest first."""
        return sorted((c for c in self if begins_as(c, head)), key=lambda c: -c.offset)


def goes_on(content: Content, seen: Seen) -> bool:
    """Whether a file holds everything that was read of a content, and perhaps more."""
    if not seen.head.startswith(content.head) or seen.size < content.offset:
        return False
    tail = content.tail
    return not tail or seen.peek(content.offset - len(tail), len(tail)) == tail


def begins_as(content: Content, head: bytes) -> bool:
    """Whether a file that begins with `head` may hold this content."""
    return (
        bool(head) and bool(content.head) and (head.startswith(content.head) or content.head.startswith(head))
    )


# Returns the start offset in a log that was never read.
Beginning = Callable[[FileIO], int]
# Device and inode: unique while the file is open.
FileKey = tuple[int, int]


class Opened(NamedTuple):
    """An open file to read from, and its content. Only the descriptor is used from here on, so that a rename
    changes nothing."""

    path: str
    key: FileKey
    file: FileIO
    content: Content
    packed: bool


class Look:
    """The result of one look at the files of a log.

    `current`: key of the file with the name of the log, None if there is none. `opened`: files to read from
    now on, the current one last. `told`: contents with a new position. `over`: files that need no more
    reading, because another file holds more of the same content. `again`: the look is incomplete, because
    names changed meanwhile, or there are more files than are opened at once.
    """

    def __init__(self) -> None:
        self.current: FileKey | None = None
        self.opened: list[Opened] = []
        self.told: list[Content] = []
        self.over: list[FileKey] = []
        self.again = False
        self._held: list[FileIO] = []

    def hold(self, file: FileIO) -> FileIO:
        """Close this file at the end of the look, unless it is read."""
        self._held.append(file)
        return file

    def read_on(self, path: str, file: FileIO, content: Content, *, packed: bool) -> None:
        """Add a file to read."""
        status = os.fstat(file.fileno())
        content.being_read = True
        self.opened.append(Opened(path, (status.st_dev, status.st_ino), file, content, packed))
        if file in self._held:
            self._held.remove(file)

    def end(self) -> None:
        """Close the files that were only inspected."""
        while self._held:
            self._held.pop().close()

    def close(self) -> None:
        """Close all files, for a result that came too late to be used."""
        self.end()
        for one in self.opened:
            one.file.close()
            one.content.being_read = False


def look_into(file: FileIO) -> Seen:
    """Inspect an uncompressed file."""
    descriptor = file.fileno()

    def peek(offset: int, length: int) -> bytes:
        return os.pread(descriptor, length, offset)

    status = os.fstat(descriptor)
    return Seen(status.st_ino, status.st_size, peek(0, MARK), peek)


def look_at_beginnings(opened: Iterable[Opened]) -> None:
    """Complete `head` for files that are being read and were shorter than MARK at the last look."""
    for one in opened:
        if len(one.content.head) < MARK and not one.packed:
            seen = look_into(one.file)
            if goes_on(one.content, seen):
                one.content.head = seen.head


def was_truncated(one: Opened) -> bool:
    """Whether an uncompressed file that is being read no longer holds its content."""
    return not one.packed and not goes_on(one.content, look_into(one.file))
