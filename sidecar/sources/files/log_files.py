"""The files of one log: which content each holds, and which of them hold lines that were not read yet."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from io import FileIO

from sidecar.model import Instant, Position, SourceError
from sidecar.sources.files import packed
from sidecar.sources.files.content import (
    MARK,
    Beginning,
    Content,
    FileKey,
    Look,
    Opened,
    RecentLogins,
    goes_on,
    look_at_beginnings,
    look_into,
    was_truncated,
)
from sidecar.sources.files.descriptors import reason
from sidecar.sources.files.disk import open_regular
from sidecar.sources.files.rotation import Found, Listing, has_changed, listing

_log = logging.getLogger("zmban.sources")

# So many files of one log are opened at a look; the rest at the next one.
_MOST_OPENED = 32
# Further than any file reaches: all of it counts as read.
_ALL = 1 << 62


class LogFiles:
    """Owns what is known of the contents of one log. Its methods wait for the disk: call them in a thread.

    `beginning` says where a log is begun that was never read, `oldest` before which time no line counts.
    """

    def __init__(
        self,
        log: str,
        positions: Iterable[Position],
        beginning: Beginning,
        oldest: Callable[[], Instant],
    ) -> None:
        self.log = log
        self.known = RecentLogins(positions)
        self._beginning, self._oldest = beginning, oldest
        # What each file was found to hold; None where its lines are not ours to read.
        self._verdicts: dict[FileKey, tuple[tuple[int, ...], Content | None]] = {}
        # How long the file is that holds a content, where one was found to go on with it, by its number.
        self._claimed: dict[int, int] = {}
        # The directories that hold files of this log.
        self._ours: set[str] = set()
        self.listed: Listing | None = None
        self._current: FileKey | None = None
        # Why the lines of a file are not read, by its path.
        self.unread: dict[str, str] = {}

    def changed(self) -> bool:
        """Whether names may have changed since the last look: cheap, to be asked every second."""
        return self.listed is None or has_changed(self.log, self.listed, self._current)

    def look(self, reading: Sequence[Opened]) -> Look:
        """Look which files there are, and open those with unread lines that are not being read yet.
        SourceError where the one that bears the name is no file; OSError where it cannot be opened."""
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
            unsure = [] if first else self._go_on(others, look)
            self._current = None
            if listed.current is not None:
                self._open_current(listed.current, keys, look, first=first)
            if first:
                self._pass_over(others, look)
            if look.current != listed.current or any(was_truncated(one) for one in reading):
                # Things change right now: what a file is a copy of may not have been seen.
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
        """What a file was found to hold when it was looked into last."""
        return self._verdicts.get(one.key, ((), None))[1]

    def leave(self, key: FileKey) -> None:
        """Nothing of this file is to be read, as long as it does not change."""
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
            # Between the listing and the opening another file may have taken the name.
            key = status.st_dev, status.st_ino
            if key not in reading and all(one.key != key for one in look.opened):
                look.read_on(self.log, file, self._of_current(file, first=first), packed=False)
        look.current = self._current = key

    def _of_current(self, file: FileIO, *, first: bool) -> Content:
        """The content that the file which bears the name goes on with."""
        seen = look_into(file)
        if first:
            offset = self._beginning(file)
            tail = seen.peek(max(0, offset - MARK), min(MARK, offset))
            return self.known.new(seen.inode, offset, seen.head, tail)
        own = self.known.own(seen)
        if own is not None and not own.being_read:
            return own
        # The same under another inode is a log that was moved to another disk; but where the file that holds
        # it is still there, this is another one that begins alike.
        taken = {c.number for c in self.known if c.being_read} | {*self._claimed}
        moved = [c for c in self.known if c.head and c.number not in taken and goes_on(c, seen)]
        content = max(moved, key=lambda c: c.offset, default=None) or self.known.new(0, 0, seen.head)
        content.inode = seen.inode
        return content

    def _pass_over(self, others: list[Found], look: Look) -> None:
        """What lies beside a log that was never read is older: it is known from now on, and not read."""
        for one in others:
            if one.rotated and not one.below:
                with contextlib.suppress(*packed.BROKEN, SourceError), open_regular(one.path) as file:
                    if not self.known.beginning(look_into(file).head):
                        self._note_as_read(one, file, look)

    def _note_as_read(self, one: Found, file: FileIO, look: Look) -> None:
        seen = look_into(file)
        if packed.is_packed(one.path):
            content = self.known.new(seen.inode, _ALL, packed.unpacking(file).read(MARK))
        else:
            tail = seen.peek(max(0, seen.size - MARK), min(MARK, seen.size))
            content = self.known.new(seen.inode, seen.size, seen.head, tail)
        self._verdicts[one.key] = one.mark, content
        look.told.append(content)

    def _go_on(self, others: list[Found], look: Look) -> list[tuple[Found, FileIO]]:
        """Open those of the other files that go on with what they held. Returns the rest, opened: they are
        judged when all those are known, for each may be a copy of one of them."""
        unsure: list[tuple[Found, FileIO]] = []
        for one in others:
            mark, content = self._verdicts.get(one.key, ((), None))
            if mark == one.mark and self._is_done(one, content):
                continue
            if len(unsure) + len(look.opened) >= _MOST_OPENED:
                look.again = True
                break
            file = self._opened(one, look)
            if file is not None and not self._goes_on(one, file, look):
                unsure.append((one, file))
        return unsure

    def _is_done(self, one: Found, content: Content | None) -> bool:
        """Whether nothing has to be read of a file that did not change since it was looked into."""
        if content is None:
            return True
        if packed.is_packed(one.path):
            # A plain file with unread lines of it comes first.
            unread = self._claimed.get(content.number, -1) > content.offset
            return content.inode == one.inode or unread or content.being_read
        if content.inode == one.inode:
            self._claim(content, one.size)
            return one.size <= content.offset or content.being_read
        return one.size <= max(content.offset, self._claimed.get(content.number, -1))

    def _claim(self, content: Content, size: int) -> None:
        self._claimed[content.number] = max(size, self._claimed.get(content.number, -1))

    def _opened(self, one: Found, look: Look) -> FileIO | None:
        """None where it is gone or another one by now, or cannot be opened."""
        try:
            file = look.hold(open_regular(one.path))
        except (FileNotFoundError, SourceError):
            return None
        except OSError as error:
            self._warn(one, f"{one.path} cannot be read ({reason(error)}); it is tried again")
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

    def _goes_on(self, one: Found, file: FileIO, look: Look) -> bool:
        """Whether a plain file goes on with what it held when it was looked into last."""
        if packed.is_packed(one.path):
            return False
        seen = look_into(file)
        own = self.known.own(seen)
        if own is None:
            return False
        self._claim(own, seen.size)
        self._settle(one, own, look)
        if seen.size > own.offset and not own.being_read:
            look.read_on(one.path, file, own, packed=False)
        return True

    def _settle(self, one: Found, content: Content | None, look: Look) -> None:
        self._verdicts[one.key] = one.mark, content
        if content is not None and one.place not in self._ours:
            # A directory below turns out to hold files of this log: the others in it are judged anew.
            self._ours.add(one.place)
            self._verdicts = {k: v for k, v in self._verdicts.items() if v[1] is not None}
            look.again |= one.below

    def _judge(self, one: Found, file: FileIO, look: Look, reading: Sequence[Opened]) -> None:
        """A file that does not go on with what its inode held: a copy, a packed one, or a new one."""
        is_packed = packed.is_packed(one.path)
        try:
            head = packed.unpacking(file).read(MARK) if is_packed else look_into(file).head
            # What begins as a file that is being read is a copy of it. A copy that is made right now may be
            # further than what was seen of that file: it is asked behind it.
            opened = [*reading, *look.opened]
            look_at_beginnings(opened)
            content, unread = self._unpacked(one, file, head) if is_packed else self._copied(file, opened)
            # A directory below may as well hold the logs of somebody else.
            ours = one.rotated and (not one.below or one.place in self._ours)
            if content is None and head and ours:
                if one.changed < self._oldest() * 1e9:
                    self._note_as_read(one, file, look)
                    return
                # A packed file bears its inode when all of it was read: nobody writes to it any more.
                content, unread = self.known.new(0 if is_packed else one.inode, 0, head), True
        except packed.BROKEN as error:
            self._warn(one, f"{one.path} cannot be unpacked ({error}); what it holds is not read")
            content = None
        self._settle(one, content, look)
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
        """This file holds more of a content than the copy that is read of it."""
        for one in () if packed.is_packed(longer.path) else reading:
            if one.content is content and one.key != self._current and not one.packed:
                seen = look_into(one.file)
                if goes_on(content, seen) and seen.size < longer.size:
                    look.over.append(one.key)
                    content.inode, look.again = longer.inode, True

    def _copied(self, file: FileIO, reading: Sequence[Opened]) -> tuple[Content | None, bool]:
        seen = look_into(file)
        content = self.known.copied(seen)
        for one in reading:
            # No copy is longer than the file that it is made of: that one only begins alike.
            if one.content is content and one.key == self._current and content is not None:
                original = look_into(one.file)
                if goes_on(content, original) and original.size < seen.size:
                    return None, True
        return content, content is not None and seen.size > content.offset

    def _unpacked(self, one: Found, file: FileIO, head: bytes) -> tuple[Content | None, bool]:
        found = self.known.beginning(head)
        whole = [c for c in found if c.inode == one.inode or packed.holds(file, c.offset)]
        if whole:
            return whole[0], False
        return (found[0], True) if found else (None, False)
