"""The kinds of log sources: `logpath = KIND:NAME`; a path alone is a file.

To add one: a file in `sources/` with a LogSource, and a line in KINDS.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sidecar.model import Block, Instant, Position
from sidecar.sources.container.container_line import plain_line
from sidecar.sources.container.container_lines import ContainerLines
from sidecar.sources.container.container_names import (
    CONTAINER,
    container_label,
    file_of,
    grammar_name,
    look_up_containers,
)
from sidecar.sources.lines.line_format import Lines, PlainLines
from sidecar.sources.log_lookup import Answer, look_up

if TYPE_CHECKING:
    from sidecar.sources.files.content import Beginning, FileKey
    from sidecar.sources.files.disk import Disk
    from sidecar.sources.files.file_watcher import FileWatcher
    from sidecar.sources.files.rotation import Found

FILE = "file"
_KIND = re.compile(r"([a-z][a-z0-9-]*):(.+)")


class LogSource(Protocol):
    """One log that is followed. `blocks` ends when it is cancelled, and raises SourceError when the log
    breaks: it never retries. `length` is how much to read in one go, set by the caller."""

    length: int

    @property
    def positions(self) -> Sequence[Position]:
        """How far each content of the log was read, the one read last first."""

    @property
    def unread(self) -> Sequence[str]:
        """Why some of its lines are not read, one sentence each."""

    @property
    def renamed(self) -> Found | None:
        """The file that bore the log's name last and may still be written to; None where there is none."""

    @property
    def keys(self) -> Collection[FileKey]:
        """The files that are open for reading, none where it reads no files."""

    def on_end(self, reached: Callable[[], None]) -> None:
        """Call this whenever everything that was written is read."""

    def blocks(self) -> AsyncGenerator[Block, None]:
        """Whole lines in blocks, each with the position behind it."""


class Opening(NamedTuple):
    """What a source is opened with: its name, who tells that a file changed, the thread that asks the file
    system, what was read before, where to begin in a file that was never read, and the age of lines that no
    longer count."""

    name: str
    watcher: FileWatcher
    disk: Disk
    positions: Sequence[Position]
    beginning: Beginning
    oldest: Callable[[], Instant]


class SourceKind(NamedTuple):
    """`look_up(pattern, known)`: what a pattern names now, in a thread. `log_name`: the file name by which
    the grammar of a source is chosen. `label`: what metrics call it; two sources of one label share them.

    Of a kind that lies in files, `file` is the path or glob in a name, `lines` makes the format of a file,
    and `line` returns the text of one raw line."""

    look_up: Callable[[str, Collection[str]], Answer]
    open: Callable[[Opening], LogSource]
    log_name: Callable[[str], str]
    label: Callable[[str], str] = str
    file: Callable[[str], str] | None = None
    lines: Lines = PlainLines
    line: Callable[[bytes], bytes] = bytes


# What follows a log is imported with the first one: commands that only read logs need no event loop.
def _follow(opening: Opening) -> LogSource:
    from sidecar.sources.files.follower import Follower

    name, watcher, disk, positions, beginning, oldest = opening
    return Follower(name, watcher, disk, positions, beginning=beginning, oldest=oldest)


def _follow_container(opening: Opening) -> LogSource:
    from sidecar.sources.container.container_log import ContainerLog

    name, watcher, disk, positions, beginning, oldest = opening
    return ContainerLog(name, watcher, disk, positions, beginning=beginning, oldest=oldest)


KINDS: dict[str, SourceKind] = {
    FILE: SourceKind(look_up, _follow, str, file=str),
    CONTAINER: SourceKind(
        look_up_containers,
        _follow_container,
        grammar_name,
        container_label,
        file_of,
        ContainerLines,
        plain_line,
    ),
}


def kind_of(name: str, kinds: Mapping[str, SourceKind] | None = None) -> SourceKind:
    """The kind of a log, or of a pattern of `logpath`. ValueError, in words for the administrator, for a kind
    that is not known."""
    found = _KIND.fullmatch(name)
    word = found.group(1) if found else FILE
    known = KINDS if kinds is None else kinds
    if word not in known:
        raise ValueError(f"{name}: {word} is no kind of log; there are: {', '.join(known)}")
    return known[word]


def log_name(name: str) -> str:
    """The file name by which the grammar of a log is chosen; its own for a kind that is not known."""
    try:
        return kind_of(name).log_name(name)
    except ValueError:
        return name


def label(name: str) -> str:
    """What metrics call a log; its own name for a kind that is not known."""
    try:
        return kind_of(name).label(name)
    except ValueError:
        return name


def file_path(name: str) -> str:
    """The path or glob of a log that lies in files; the name itself for any other."""
    try:
        of = kind_of(name).file
    except ValueError:
        return name
    return of(name) if of else name


def files_of(pattern: str) -> list[str]:
    """The logs in files that a pattern names now, sorted; none if it names no files: what reads logs without
    following them (replay, check, discover) reads files only. `file_path` has the path of each."""
    try:
        kind = kind_of(pattern)
    except ValueError:
        return []
    if kind.file is None:
        return []
    return sorted(name for name, key in kind.look_up(pattern, ()).found.items() if key)
