"""What a file format of logs does: it turns whole raw lines into plain lines. Here also the plain format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TypeAlias

# A longer plain line is passed on truncated, so that it is refused and counted instead of held in memory.
LONGEST = 1 << 16
_UTF8_MARK = b"\xef\xbb\xbf"
# Junk before a line: a byte-order mark where files were concatenated, and zeros where a program continued to
# write at its old offset in a truncated file.
_BEFORE_A_LINE = re.compile(rb"(^|\n)(?:\0|\xef\xbb\xbf)+")


class Part(NamedTuple):
    """The beginning of a line that was written in parts: its time as text, and its text so far."""

    stamp: bytes
    text: bytes


class Ends(NamedTuple):
    """What is unfinished at the end of a file: the `parts` by stream, and the plain `lines` between them,
    which are held back with them. The next file of the log may begin with the rest. `last`: when the last
    line was written, as text that sorts."""

    parts: Mapping[bytes, Part] = {}
    lines: tuple[bytes, ...] = ()
    last: bytes = b""


class Taken(NamedTuple):
    """The first `length` raw bytes became these plain lines: `text` is empty, or ends with a newline."""

    length: int
    text: bytes


class LineFormat(Protocol):
    """The format of one open file. `longest`: bytes of the longest raw line, and of the shortest read.
    `before`: how many bytes before a position it wants to see. `joins`: a line may be spread over several raw
    lines."""

    longest: int
    before: int
    joins: bool

    @property
    def ends(self) -> Ends:
        """What the last `take` held back or gave up."""

    def look_back(self, raw: bytes) -> None:
        """Learn from the bytes before the position at which reading begins."""

    def begin_with(self, ends: Ends) -> None:
        """Begin with what was unfinished in the file before, instead of what was set by an earlier call."""

    def take(self, raw: bytes, *, over: bool) -> Taken:
        """Take whole raw lines as far as nothing is unfinished; what is behind is passed again with the next
        call. `over`: nothing more is waited for; what is unfinished is given up."""

    def cut(self, raw: bytes) -> bytes:
        """The plain text of the beginning of an overlong raw line."""


class PlainLines:
    """Lines as they are in the file."""

    longest, before, joins = LONGEST, 0, False
    ends = Ends()

    def look_back(self, raw: bytes) -> None:
        """Nothing depends on lines before."""

    def begin_with(self, ends: Ends) -> None:
        """No line continues in another file."""

    def take(self, raw: bytes, *, over: bool) -> Taken:
        """All lines, without junk before them."""
        if b"\0" in raw or _UTF8_MARK in raw:
            return Taken(len(raw), _BEFORE_A_LINE.sub(rb"\1", raw))
        return Taken(len(raw), raw)

    def cut(self, raw: bytes) -> bytes:
        """The beginning, long enough to be refused."""
        return _BEFORE_A_LINE.sub(rb"\1", raw[: self.longest] + b"\n")


# Makes the format of a file that is opened.
Lines: TypeAlias = Callable[[], LineFormat]
