"""Which files belong to a log: the one that bears its name now, and those it was rotated into."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

# What a rotation puts behind a name, and what it puts before its ending: a number, a date, "old". Not any
# number there: mail-1.log and mail2.log are logs of their own.
_BEHIND = re.compile(r"(?:[._-]\d[\d._:TZ+-]*|\d[\d._:TZ+-]{5,}|[._-](?:old|bak|prev))")
_BEFORE_THE_ENDING = re.compile(r"(?:\.\d{1,5}|[._-]?\d[\d._:TZ+-]{5,}|[._-](?:old|bak|prev))")
_PACKED = re.compile(r"\.(?:gz|bz2|xz|lzma|zst|zip|lz4|7z|br|Z)$")
_LATELY_NS = 2 * 10**9
# One that is still being packed is named so by some programs.
_UNFINISHED = (".tmp", ".part")


class Found(NamedTuple):
    """A file of a log. `rotated` says that its name is that of a rotated file, and not only begins so;
    `below` that it lies in a directory below the log's."""

    path: str
    device: int
    inode: int
    size: int
    changed: int
    rotated: bool
    below: bool

    @property
    def place(self) -> str:
        """The directory that it lies in."""
        return self.path.rpartition("/")[0]

    @property
    def key(self) -> tuple[int, int]:
        """Device and inode."""
        return self.device, self.inode

    @property
    def mark(self) -> tuple[int, int, int, int]:
        """The same as long as nobody writes into it; a rename does not change it."""
        return self.device, self.inode, self.size, self.changed


@lru_cache(maxsize=4096)
def logs_of(name: str) -> tuple[str, ...]:
    """The names of the logs whose rotated file one of this name may be.

    >>> logs_of("x.log.1.gz"), logs_of("x-1.log")
    (('x.log', 'x.log.1'), ())
    """
    plain = _PACKED.sub("", name)
    _, dot, suffix = plain.rpartition(".")
    starts = [plain[:end] for end in range(1, len(plain))]
    logs = [*starts, *(start + dot + suffix for start in starts), plain]
    return tuple(log for log in dict.fromkeys(logs) if log != name and is_rotated(name, log))


class Listing(NamedTuple):
    """`current` is the key of what bears the log's name, None if nothing does. `others` are the rest, oldest
    first. `places` are the directories that were looked into, each with what changes when a name in it does.
    """

    current: tuple[int, int] | None
    others: list[Found]
    places: dict[str, tuple[int, int]]

    @property
    def renamed(self) -> Found | None:
        """The rotated file that was written to last, if it is not packed: somebody may still write to it."""
        return next((o for o in reversed(self.others) if o.rotated and not _PACKED.search(o.path)), None)


def is_rotated(name: str, log: str) -> bool:
    """Whether a file name is that of the rotated file of a log of this name.

    >>> names = "x.log.1", "x.log-20260105.gz", "x-20260105.log", "x.log", "x-1.log"
    >>> [is_rotated(name, "x.log") for name in names]
    [True, True, True, False, False]
    """
    plain = _PACKED.sub("", name)
    if plain != name and plain == log:
        return True
    if plain.startswith(log) and _BEHIND.fullmatch(plain, len(log)):
        return True
    stem, dot, suffix = log.rpartition(".")
    ending = len(plain) - len(dot + suffix)
    around = bool(stem) and plain.startswith(stem) and plain.endswith(dot + suffix)
    return around and _BEFORE_THE_ENDING.fullmatch(plain, len(stem), ending) is not None


def listing(log: str) -> Listing:
    """The files of a log, beside it, beside the file that it leads to, and in the directories below (where
    logrotate's olddir puts them). Only regular files; OSError where the log's directory cannot be read."""
    real = os.path.realpath(log)
    places: dict[str, tuple[int, int]] = {}
    found: dict[tuple[int, int], Found] = {}
    for path in dict.fromkeys((log, real)):
        directory, name = os.path.split(path)
        for one in _in(directory, name, places):
            # A file that was renamed meanwhile is there under both names, a linked one too.
            found.setdefault((one.device, one.inode), one)
    current = None
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(log)
        current = status.st_dev, status.st_ino
        found.pop(current, None)
    others = sorted(found.values(), key=lambda one: one.changed)
    return Listing(current, _without_packing(others), places)


def has_changed(log: str, listed: Listing, current: tuple[int, int] | None) -> bool:
    """Whether names may have changed since a listing, when `current` bore the log's name."""
    try:
        status = os.stat(log)
        now: tuple[int, int] | None = (status.st_dev, status.st_ino)
    except FileNotFoundError:
        now = None
    looks = {place: _look_of(place) for place in listed.places}
    # Two changes in one tick of a file system's clock look like one.
    lately = time.time_ns() - _LATELY_NS
    return now != current or looks != listed.places or any(changed > lately for _, changed in looks.values())


def _look_of(place: str) -> tuple[int, int]:
    """What changes when a name in a directory does; zeros for one that is gone."""
    try:
        status = os.stat(place)
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns


def _in(directory: str, name: str, places: dict[str, tuple[int, int]]) -> Iterator[Found]:
    # Before it is listed: what changes in between is seen the next time.
    places[directory] = _look_of(directory)
    below = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(stem(name)) and entry.name != name:
                yield from _regular(entry, name, below=False)
            elif entry.is_dir(follow_symlinks=False):
                below.append(entry.path)
    for place in below:
        look = _look_of(place)
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            inside = [one for one in entries if one.name.startswith(stem(name)) and one.name != name]
            if inside:
                places[place] = look
            for entry in inside:
                yield from _regular(entry, name, below=True)


def stem(log: str) -> str:
    """What the names of all files of a log begin with."""
    directory, slash, name = log.rpartition("/")
    return directory + slash + (name.rpartition(".")[0] or name)


def _regular(entry: os.DirEntry[str], log: str, *, below: bool) -> Iterator[Found]:
    """A symbolic link among them leads to a file that is listed itself, or is somebody else's."""
    rotated = is_rotated(entry.name, log)
    if not rotated and not entry.name.startswith(log):
        return
    with contextlib.suppress(OSError):
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(status.st_mode) and not entry.name.endswith(_UNFINISHED):
            yield _found(entry.path, status, rotated=rotated, below=below)


def _found(path: str, status: os.stat_result, *, rotated: bool, below: bool) -> Found:
    return Found(path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, rotated, below)


def _without_packing(found: list[Found]) -> list[Found]:
    """Where a file is being packed, only the plain one counts, until it is gone."""
    names = {one.path for one in found}
    return [one for one in found if (plain := _PACKED.sub("", one.path)) == one.path or plain not in names]
