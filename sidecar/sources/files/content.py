"""What the files of a log hold and how far it was read: known again whatever name or inode bears it.

A log's file is renamed, copied, packed, truncated; what it holds stays the same. So a position belongs to a
content, never to a name: two files that hold the same are read once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from io import FileIO
from typing import NamedTuple

from sidecar.model import Position

# So many first bytes, and last ones that were read, tell one content from another: more than a line, since
# two files of a busy minute may begin alike.
MARK = 256
# As many contents of one log are remembered as are in its files; beyond that so many.
MOST_KNOWN = 512


class Content:
    """One content: its first bytes, how far it was read, the last bytes before that, and the inode of the
    file that it was read from.

    `being_read` says that a file with it is open for reading. `head` may be longer than `offset`: what a file
    begins with is looked at before it is read.
    """

    __slots__ = ("being_read", "head", "inode", "number", "offset", "tail")

    def __init__(
        self, number: int, inode: int, offset: int = 0, head: bytes = b"", tail: bytes = b""
    ) -> None:
        self.number, self.inode, self.offset, self.head, self.tail = number, inode, offset, head, tail
        self.being_read = False

    def advance(self, data: bytes) -> None:
        """These bytes, at `offset`, were read."""
        if len(self.head) < MARK and self.offset <= len(self.head):
            self.head = max(self.head, (self.head[: self.offset] + data)[:MARK], key=len)
        self.offset += len(data)
        self.tail = (self.tail + data[-MARK:])[-MARK:]

    def position(self, path: str) -> Position:
        """As it is written down."""
        return Position(path, self.inode, self.offset, self.head, self.tail, self.number)


class Seen(NamedTuple):
    """A file that was looked into: inode, size, first bytes, and how to read bytes of it: offset, length."""

    inode: int
    size: int
    head: bytes
    peek: Callable[[int, int], bytes]


class RecentLogins:
    """The contents of one log that are known, the one read last at the end."""

    def __init__(self, positions: Iterable[Position] = ()) -> None:
        """`positions` as `positions` returns them."""
        self._contents: dict[int, Content] = {}
        for p in reversed(list(positions)):
            self._contents[p.content] = Content(p.content, p.inode, p.offset, p.head, p.tail)
        self._next = max(self._contents, default=0) + 1

    def __bool__(self) -> bool:
        return bool(self._contents)

    def __iter__(self) -> Iterator[Content]:
        return iter(list(self._contents.values()))

    def positions(self, path: str) -> list[Position]:
        """How far each was read, the one that was read last first."""
        return [content.position(path) for content in reversed(self._contents.values())]

    def new(self, inode: int, offset: int = 0, head: bytes = b"", tail: bytes = b"") -> Content:
        """A content that nothing was known of."""
        content = Content(self._next, inode, offset, head, tail)
        self._contents[content.number] = content
        self._next += 1
        return content

    def used(self, content: Content) -> None:
        """It was read, or seen in a file: it is the last to be forgotten."""
        self._contents.pop(content.number, None)
        self._contents[content.number] = content

    def forget(self, seen: Iterable[Content]) -> None:
        """Forget the oldest beyond the limit, but for those that are `seen` in files."""
        kept = {content.number for content in seen}
        for number, content in list(self._contents.items()):
            if len(self._contents) <= MOST_KNOWN:
                return
            if number not in kept and not content.being_read:
                del self._contents[number]

    def own(self, seen: Seen) -> Content | None:
        """The content that this very file held when it was looked at last: it goes on with it, or did not
        change. None where it holds something else: its inode bears another file, or it was truncated."""
        fits = [c for c in self if c.inode == seen.inode and c.head and goes_on(c, seen)]
        return max(fits, key=lambda c: c.offset, default=None)

    def saw_empty(self, inode: int) -> bool:
        """Whether nothing was in this file when it was looked at last."""
        return any(c.inode == inode and not c.head for c in self)

    def copied(self, seen: Seen) -> Content | None:
        """The content of which this file is a copy, or that it bears under another inode. A copy that ends
        before the place up to which the content was read is an older one: all of it was read."""
        fits = [c for c in self if c.head and goes_on(c, seen)]
        if not fits:
            fits = [c for c in self if max(c.offset, len(c.head)) >= seen.size and begins_as(c, seen.head)]
        return max(fits, key=lambda c: c.offset, default=None)

    def beginning(self, head: bytes) -> list[Content]:
        """The contents that begin so, the one that was read furthest first."""
        return sorted((c for c in self if begins_as(c, head)), key=lambda c: -c.offset)


def goes_on(content: Content, seen: Seen) -> bool:
    """Whether a file holds all of a content that was read, and perhaps more."""
    if not seen.head.startswith(content.head) or seen.size < content.offset:
        return False
    tail = content.tail
    return not tail or seen.peek(content.offset - len(tail), len(tail)) == tail


def begins_as(content: Content, head: bytes) -> bool:
    """Whether what begins with `head` may be this content, or its beginning."""
    return (
        bool(head) and bool(content.head) and (head.startswith(content.head) or content.head.startswith(head))
    )


# Where to begin in a log that was never read, by its opened file.
Beginning = Callable[[FileIO], int]
# Device and inode: no two files have the same while one of them is open.
FileKey = tuple[int, int]


class Opened(NamedTuple):
    """A file to be read on, and the content that it goes on with. It is known by its descriptor: what becomes
    of its name meanwhile changes nothing."""

    path: str
    key: FileKey
    file: FileIO
    content: Content
    packed: bool


class Look:
    """What one look at the files of a log brought.

    `current` is the key of the file that bears the name, None if there is none. `opened` are files to be read
    from now on, the current one last. `told` are contents whose position is new. `over` are files that were
    read to their end while another one holds more of the same. With `again` not everything was seen: names
    changed meanwhile, or there are more files than are opened at once.
    """

    def __init__(self) -> None:
        self.current: FileKey | None = None
        self.opened: list[Opened] = []
        self.told: list[Content] = []
        self.over: list[FileKey] = []
        self.again = False
        self._held: list[FileIO] = []

    def hold(self, file: FileIO) -> FileIO:
        """This file is closed at the end of the look, unless it is to be read."""
        self._held.append(file)
        return file

    def read_on(self, path: str, file: FileIO, content: Content, *, packed: bool) -> None:
        """This file is to be read."""
        status = os.fstat(file.fileno())
        content.being_read = True
        self.opened.append(Opened(path, (status.st_dev, status.st_ino), file, content, packed))
        if file in self._held:
            self._held.remove(file)

    def end(self) -> None:
        """Close what was only looked into."""
        while self._held:
            self._held.pop().close()

    def close(self) -> None:
        """For one that comes too late for anybody to use it."""
        self.end()
        for one in self.opened:
            one.file.close()
            one.content.being_read = False


def look_into(file: FileIO) -> Seen:
    """A plain file as it is now."""
    descriptor = file.fileno()

    def peek(offset: int, length: int) -> bytes:
        return os.pread(descriptor, length, offset)

    status = os.fstat(descriptor)
    return Seen(status.st_ino, status.st_size, peek(0, MARK), peek)


def look_at_beginnings(opened: Iterable[Opened]) -> None:
    """Take notice of the first bytes of files that are being read, where they were not all seen yet."""
    for one in opened:
        if len(one.content.head) < MARK and not one.packed:
            seen = look_into(one.file)
            if goes_on(one.content, seen):
                one.content.head = seen.head


def was_truncated(one: Opened) -> bool:
    """Whether a plain file that is being read holds something else by now: its reading will begin anew."""
    return not one.packed and not goes_on(one.content, look_into(one.file))
