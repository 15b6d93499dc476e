"""Which file is read for which jails; one log as the service knows it, and what was read before."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from sidecar.detect.log_clock import LogClock
from sidecar.detect.match.matcher import LONGEST_LINE
from sidecar.detect.prefilter.prefilter import Prefilter
from sidecar.detect.scanner import Scanner
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Instant, Position, Seconds
from sidecar.sources.files.content import FileKey
from sidecar.sources.files.disk import Disk, open_regular
from sidecar.sources.files.follower import LATE_SECONDS, Follower

# A log without a name for longer is not only being rotated.
_GONE_SECONDS: Seconds = 10.0


class FollowedLog:
    """One log that is followed: its scanner, the zone of its dates, how far the reading is, and its task."""

    def __init__(
        self, path: str, disk: Disk, scanner: Scanner, clock: LogClock | None, *, tail: bool
    ) -> None:
        self.path, self.disk, self.scanner, self.clock, self.tail = path, disk, scanner, clock, tail
        if clock is not None:
            scanner.at_zone(clock.zone)
        self.caught_up = False
        self.error: str | None = None
        self.last_line: float | None = None
        self.positions: Sequence[Position] = ()
        self.follower: Follower | None = None
        self.task: asyncio.Task[None] | None = None
        # No jail reads it any more.
        self.stopped = False
        # Nothing of it waits to be judged: its task may end.
        self.idle = False
        # When its name was gone, and when it was read last, by the clock that nobody sets.
        self.gone: Seconds | None = None
        self.heard: Seconds = time.monotonic()

    @property
    def keys(self) -> set[FileKey]:
        """The files that are open for reading."""
        return self.follower.keys if self.follower else set()

    def at_end(self) -> None:
        """Everything that was written is read."""
        self.caught_up, self.error, self.idle = True, None, True

    def is_over(self, now: Seconds) -> bool:
        """Whether its name has been gone for so long that this is no rotation. A program may go on writing
        into a renamed file."""
        quiet = self.follower is None or self.follower.renamed is None or now > self.heard + LATE_SECONDS
        return self.idle and quiet and self.gone is not None and now > self.gone + _GONE_SECONDS


class ReadBefore:
    """How far the contents of each log were read, of each log the one that was read last first."""

    def __init__(
        self, positions: Mapping[str, Sequence[Position]], rotated_of: Callable[[str], Iterable[str]]
    ) -> None:
        self._positions = positions
        self._by_inode: dict[int, list[Position]] = {}
        self._rotated: dict[str, list[str]] = {}
        for path, known in positions.items():
            for position in known:
                self._by_inode.setdefault(position.inode, []).append(position)
            for log in rotated_of(path):
                self._rotated.setdefault(log, []).append(path)

    def elsewhere(self, path: str, key: FileKey | None) -> list[Position]:
        """How far other logs read its file, and what by its name is a rotated file of this one."""
        # An inode of zero tells nothing: of a packed file, or of one that cannot be asked.
        same = [p for p in self._by_inode.get(key[1], ()) if p.path != path] if key and key[1] else []
        return same + [p for other in self._rotated.get(path, ()) for p in self._positions[other]]

    def of(self, path: str, elsewhere: Iterable[Position] = ()) -> list[Position]:
        """What is known of a log, with what was read under another name: it is not read again, for a position
        belongs to a content."""
        known = list(self._positions.get(path, ()))
        number = max((position.content for position in known), default=0)
        others = enumerate(elsewhere, number + 1)
        return known + [replace(p, path=path, content=n) for n, p in others]


def last_line(path: str) -> tuple[bytes, Instant]:
    """The last whole line of a log, empty where there is none, and when it was written to. OSError,
    SourceError."""
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        data = os.pread(file.fileno(), LONGEST_LINE, max(0, status.st_size - LONGEST_LINE))
    lines = data.split(b"\n")
    return lines[-2] if len(lines) > 1 else b"", status.st_mtime


def by_file(
    named: Iterable[tuple[str, JailSpec]], identity: Callable[[str], Hashable] = os.path.realpath
) -> dict[str, list[JailSpec]]:
    """Which log is read for which jails. Two names of one file are one log, under the first of them; what has
    the same `identity` is one."""
    names: dict[Hashable, str] = {}
    found: dict[str, list[JailSpec]] = {}
    for path, jail in named:
        jails = found.setdefault(names.setdefault(identity(path), path), [])
        if jail not in jails:
            jails.append(jail)
    return found


def names(pattern: str, path: str) -> bool:
    """Whether a glob names a path, as the shell's does."""
    wanted, parts = pattern.split("/"), path.split("/")
    return len(wanted) == len(parts) and all(
        fnmatchcase(part, mine) and part.startswith(".") <= mine.startswith(".")
        for part, mine in zip(parts, wanted, strict=True)
    )


# Those of several jails, by their names.
Prefilters = dict[tuple[str, ...], Prefilter]


def reads(jail: JailSpec, log: FollowedLog, same: Collection[str]) -> bool:
    """Whether a jail reads a log: one of the `same`, which name the same logs as before, if it did before."""
    if jail.name in same:
        return jail.name in log.scanner.jails
    return any(names(one.glob, log.path) for one in jail.logpath)


def prepared(jails: Mapping[str, JailSpec], same: Collection[str], logs: Iterable[FollowedLog]) -> Prefilters:
    """The prefilters of these logs for other jails than now: it takes long, so do it in a thread."""
    found: Prefilters = {}
    for log in logs:
        specs = [jail for jail in jails.values() if reads(jail, log, same)]
        key = tuple(jail.name for jail in specs)
        if specs and key not in found:
            found[key] = Prefilter.of(specs)
    return found
