"""The files of one log: the content of each, and which of them have unread lines."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from io import FileIO

from sidecar.model import Instant, Position, SourceError
from sidecar.sources.files import compressed
from sidecar.sources.files.content import (
    MARK,
    Beginning,
    Content,
    FileKey,
    KnownContents,
    Look,
    Opened,
    goes_on,
    look_at_beginnings,
    look_into,
    was_truncated,
)
from sidecar.sources.files.descriptors import open_regular, reason
from sidecar.sources.files.rotation import Found, Listing, has_changed, listing

_log = logging.getLogger("zmban.sources")

# Maximum number of files of one log opened per look.
_MOST_OPENED = 32
# An offset beyond any file: all of the content counts as read.
_ALL = 1 << 62


class LogFiles:
    """Owns the known contents of one log. The methods block on the disk: call them in a thread.

    `beginning`: returns the start offset in a log that was never read. `oldest`: returns the time before
    which no line counts.
    """

    def __init__(
        self,
        log: str,
        positions: Iterable[Position],
        beginning: Beginning,
        oldest: Callable[[], Instant],
    ) -> None:
        self.log = log
        self.known = KnownContents(positions)
        self._beginning, self._oldest = beginning, oldest
        # State and content of each inspected file; content None if it is not to be read.
        self._verdicts: dict[FileKey, tuple[tuple[int, ...], Content | None]] = {}
        # Size of the file that continues a content, by number of the content.
        self._claimed: dict[int, int] = {}
        # Directories with files of this log.
        self._ours: set[str] = set()
        self.listed: Listing | None = None
        self._current: FileKey | None = None
        # Why a file is not read, by path.
        self.unread: dict[str, str] = {}

    def changed(self) -> bool:
        """Whether names may have changed since the last look. Cheap enough for every second."""
        return self.listed is None or has_changed(self.log, self.listed, self._current)

    def look(self, reading: Sequence[Opened]) -> Look:
        """List the files, and open those with unread lines that are not being read yet. SourceError if the
        path of the log is not a regular file; OSError if it cannot be opened."""
        first, look = not self.known, Look()
        try:
            listed = self.listed = listing(self.log)
            keys = {one.key for one in reading}
            others = [one for one in listed.others if one.key not in keys]
            self._claimed = {
                one.content.number: _ALL if one.packed else look_into(one.file).size for one in reading
            }
            known = (
                o for o in listed.others if o.key in keys or self._holds(o) or self.known.saw_empty(o.inode)
            )
            self._ours = {one.place for one in known}
            unsure = [] if first else self._open_continued(others, look)
            self._current = None
            if listed.current is not None:
                self._open_current(listed.current, keys, look, first=first)
            if first:
                self._pass_over(others, look)
            if look.current != listed.current or any(was_truncated(one) for one in reading):
                # Files change right now, so the original of a copy may not have been seen.
                look.again, unsure = True, []
            for one, file in unsure:
                self._judge(one, file, look, reading)
        except BaseException:
            look.close()
            raise
        look.end()
        self._remember(listed)
        return look

    def _holds(self, one: Found) -> Content | None:
        """The content of a file at the last inspection."""
        return self._verdicts.get(one.key, ((), None))[1]

    def leave(self, key: FileKey) -> None:
        """Do not read this file unless it changes."""
        self._verdicts[key] = self._verdicts.get(key, ((), None))[0], None

    def _remember(self, listed: Listing) -> None:
        there = {one.key for one in listed.others}
        self.unread = {one.path: why for one in listed.others if (why := self.unread.get(one.path))}
        self._verdicts = {key: verdict for key, verdict in self._verdicts.items() if key in there}
        seen = [content for _, content in self._verdicts.values() if content is not None]
        for content in seen:
            self.known.used(content)
        self.known.forget(seen)

    def _open_current(self, key: FileKey, reading: set[FileKey], look: Look, *, first: bool) -> None:
        if key not in reading:
            file = look.hold(open_regular(self.log))
            status = os.fstat(file.fileno())
            # The file may have been replaced since the listing.
            key = status.st_dev, status.st_ino
            if key not in reading and all(one.key != key for one in look.opened):
                look.read_on(self.log, file, self._of_current(file, first=first), packed=False)
        look.current = self._current = key

    def _of_current(self, file: FileIO, *, first: bool) -> Content:
        """The content of the current file."""
        seen = look_into(file)
        if first:
            offset = self._beginning(file)
            tail = seen.peek(max(0, offset - MARK), min(MARK, offset))
            return self.known.new(seen.inode, offset, seen.head, tail)
        own = self.known.own(seen)
        if own is not None and not own.being_read:
            return own
        # A known content under a new inode: the log was moved to another disk. But if the old file still
        # exists, this is another content that begins alike.
        taken = {c.number for c in self.known if c.being_read} | {*self._claimed}
        moved = [c for c in self.known if c.head and c.number not in taken and goes_on(c, seen)]
        content = max(moved, key=lambda c: c.offset, default=None) or self.known.new(0, 0, seen.head)
        content.inode = seen.inode
        return content

    def _pass_over(self, others: list[Found], look: Look) -> None:
        """Note the rotated files of a log that was never read as known, so that they are not read."""
        for one in others:
            if one.rotated and not one.below:
                with contextlib.suppress(*compressed.BROKEN, SourceError), open_regular(one.path) as file:
                    if not self.known.beginning(look_into(file).head):
                        self._note_as_read(one, file, look)

    def _note_as_read(self, one: Found, file: FileIO, look: Look) -> None:
        seen = look_into(file)
        if compressed.is_packed(one.path):
            content = self.known.new(seen.inode, _ALL, compressed.unpacking(file).read(MARK))
        else:
            tail = seen.peek(max(0, seen.size - MARK), min(MARK, seen.size))
            content = self.known.new(seen.inode, seen.size, seen.head, tail)
        self._verdicts[one.key] = one.mark, content
        look.told.append(content)

    def _open_continued(self, others: list[Found], look: Look) -> list[tuple[Found, FileIO]]:
        """Open the other files that continue their known content. Returns the rest, opened: they are judged
        afterwards, because each may be a copy of one of the first."""
        unsure: list[tuple[Found, FileIO]] = []
        for one in others:
            mark, content = self._verdicts.get(one.key, ((), None))
            if mark == one.mark and self._is_done(one, content):
                continue
            if len(unsure) + len(look.opened) >= _MOST_OPENED:
                look.again = True
                break
            file = self._opened(one, look)
            if file is not None and not self._continues(one, file, look):
                unsure.append((one, file))
        return unsure

    def _is_done(self, one: Found, content: Content | None) -> bool:
        """Whether nothing is unread in a file that did not change since its last inspection."""
        if content is None:
            return True
        if compressed.is_packed(one.path):
            # An uncompressed file with unread lines of the content comes first.
            unread = self._claimed.get(content.number, -1) > content.offset
            return content.inode == one.inode or unread or content.being_read
        if content.inode == one.inode:
            self._claim(content, one.size)
            return one.size <= content.offset or content.being_read
        return one.size <= max(content.offset, self._claimed.get(content.number, -1))

    def _claim(self, content: Content, size: int) -> None:
        self._claimed[content.number] = max(size, self._claimed.get(content.number, -1))

    def _opened(self, one: Found, look: Look) -> FileIO | None:
        """The opened file; None if it was removed or replaced, or cannot be opened."""
        try:
            file = look.hold(open_regular(one.path))
        except (FileNotFoundError, SourceError):
            return None
        except OSError as error:
            self._warn(one, f"{one.path} cannot be read ({reason(error)}); trying again")
            return None
        self.unread.pop(one.path, None)
        status = os.fstat(file.fileno())
        same = (status.st_dev, status.st_ino) == one.key
        look.again |= not same
        return file if same else None

    def _warn(self, one: Found, text: str) -> None:
        if self.unread.get(one.path) != text:
            self.unread[one.path] = text
            _log.warning("%s", text)

    def _continues(self, one: Found, file: FileIO, look: Look) -> bool:
        """Whether an uncompressed file continues the content of its last inspection."""
        if compressed.is_packed(one.path):
            return False
        seen = look_into(file)
        own = self.known.own(seen)
        if own is None:
            return False
        self._claim(own, seen.size)
        self._record(one, own, look)
        if seen.size > own.offset and not own.being_read:
            look.read_on(one.path, file, own, packed=False)
        return True

    def _record(self, one: Found, content: Content | None, look: Look) -> None:
        self._verdicts[one.key] = one.mark, content
        if content is not None and one.place not in self._ours:
            # A subdirectory turned out to hold files of this log, so the other files in it are judged again.
            self._ours.add(one.place)
            self._verdicts = {k: v for k, v in self._verdicts.items() if v[1] is not None}
            look.again |= one.below

    def _judge(self, one: Found, file: FileIO, look: Look, reading: Sequence[Opened]) -> None:
        """Judge a file that does not continue the content of its inode: a copy, compressed, or new."""
        is_packed = compressed.is_packed(one.path)
        try:
            head = compressed.unpacking(file).read(MARK) if is_packed else look_into(file).head
            # A file that begins like one that is being read is a copy of it. A copy in progress may be longer
            # than what was seen of the original, so the original is inspected after it.
            opened = [*reading, *look.opened]
            look_at_beginnings(opened)
            content, unread = self._unpacked(one, file, head) if is_packed else self._copied(file, opened)
            # A subdirectory may hold logs of other programs.
            ours = one.rotated and (not one.below or one.place in self._ours)
            if content is None and head and ours:
                if one.changed < self._oldest() * 1e9:
                    self._note_as_read(one, file, look)
                    return
                # The inode of a compressed file is stored when all of it was read: it never changes again.
                content, unread = self.known.new(0 if is_packed else one.inode, 0, head), True
        except compressed.BROKEN as error:
            self._warn(one, f"{one.path} cannot be decompressed ({error}); its lines are not read")
            content = None
        self._record(one, content, look)
        if content is None:
            return
        covered = self._claimed.get(content.number, -1)
        if content.being_read:
            self._hand_over(one, content, look, reading)
        elif unread and (covered <= content.offset if is_packed else covered < one.size):
            if not is_packed:
                content.inode, content.head = one.inode, head
            look.read_on(one.path, file, content, packed=is_packed)

    def _hand_over(self, longer: Found, content: Content, look: Look, reading: Sequence[Opened]) -> None:
        """Continue with the longer file of a content instead of the copy that is being read."""
        for one in () if compressed.is_packed(longer.path) else reading:
            if one.content is content and one.key != self._current and not one.packed:
                seen = look_into(one.file)
                if goes_on(content, seen) and seen.size < longer.size:
                    look.over.append(one.key)
                    content.inode, look.again = longer.inode, True

    def _copied(self, file: FileIO, reading: Sequence[Opened]) -> tuple[Content | None, bool]:
        seen = look_into(file)
        content = self.known.copied(seen)
        for one in reading:
            # A copy is never longer than its original: this is another content that begins alike.
            if one.content is content and one.key == self._current and content is not None:
                original = look_into(one.file)
                if goes_on(content, original) and original.size < seen.size:
                    return None, True
        return content, content is not None and seen.size > content.offset

    def _unpacked(self, one: Found, file: FileIO, head: bytes) -> tuple[Content | None, bool]:
        found = self.known.beginning(head)
        whole = [c for c in found if c.inode == one.inode or compressed.holds(file, c.offset)]
        if whole:
            return whole[0], False
        return (found[0], True) if found else (None, False)
