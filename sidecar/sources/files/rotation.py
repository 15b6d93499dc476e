"""Finds the files of a log: the current one, and those it was rotated into."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

# What a rotation adds after a name, and before its extension: a number, a date, "old". Before the extension
# not any number: mail-1.log and mail2.log are separate logs.
_BEHIND = re.compile(r"(?:[._-]\d[\d._:TZ+-]*|\d[\d._:TZ+-]{5,}|[._-](?:old|bak|prev))")
_BEFORE_THE_ENDING = re.compile(r"(?:\.\d{1,5}|[._-]?\d[\d._:TZ+-]{5,}|[._-](?:old|bak|prev))")
_PACKED = re.compile(r"\.(?:gz|bz2|xz|lzma|zst|zip|lz4|7z|br|Z)$")
_LATELY_NS = 2 * 10**9
# Suffixes that some programs use while they compress a file.
_UNFINISHED = (".tmp", ".part")


class Found(NamedTuple):
    """A file of a log. `rotated`: it is named like a rotated file, not only with the same beginning. `below`:
    it is in a subdirectory of the directory of the log."""

    path: str
    device: int
    inode: int
    size: int
    changed: int
    rotated: bool
    below: bool

    @property
    def place(self) -> str:
        """The directory of the file."""
        return self.path.rpartition("/")[0]

    @property
    def key(self) -> tuple[int, int]:
        """Device and inode."""
        return self.device, self.inode

    @property
    def mark(self) -> tuple[int, int, int, int]:
        """Changes with each write, but not with a rename."""
        return self.device, self.inode, self.size, self.changed


@lru_cache(maxsize=4096)
def logs_of(name: str) -> tuple[str, ...]:
    """The names of the logs of which a file with this name may be a rotated file.

    >>> logs_of("x.log.1.gz"), logs_of("x-1.log")
    (('x.log', 'x.log.1'), ())
    """
    plain = _PACKED.sub("", name)
    _, dot, suffix = plain.rpartition(".")
    starts = [plain[:end] for end in range(1, len(plain))]
    logs = [*starts, *(start + dot + suffix for start in starts), plain]
    return tuple(log for log in dict.fromkeys(logs) if log != name and is_rotated(name, log))


class Listing(NamedTuple):
    """The files of a log. `current`: key of the file with the name of the log, None if there is none.
    `others`: the rest, oldest first. `places`: the listed directories, each with inode and modification time.
    """

    current: tuple[int, int] | None
    others: list[Found]
    places: dict[str, tuple[int, int]]

    @property
    def renamed(self) -> Found | None:
        """The uncompressed rotated file that was written to last: programs may still write to it."""
        return next((o for o in reversed(self.others) if o.rotated and not _PACKED.search(o.path)), None)


def is_rotated(name: str, log: str) -> bool:
    """Whether a file name is that of a rotated file of the log `log`.

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
    """The regular files of a log: in its directory, in that of its symlink target, and in subdirectories of
    both (olddir of logrotate). OSError if the directory of the log cannot be read."""
    real = os.path.realpath(log)
    places: dict[str, tuple[int, int]] = {}
    found: dict[tuple[int, int], Found] = {}
    for path in dict.fromkeys((log, real)):
        directory, name = os.path.split(path)
        for one in _in(directory, name, places):
            # A file renamed meanwhile, or with a hard link, is found under both names.
            found.setdefault((one.device, one.inode), one)
    current = None
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(log)
        current = status.st_dev, status.st_ino
        found.pop(current, None)
    others = sorted(found.values(), key=lambda one: one.changed)
    return Listing(current, _without_packing(others), places)


def has_changed(log: str, listed: Listing, current: tuple[int, int] | None) -> bool:
    """Whether names may have changed since a listing in which `current` had the name of the log."""
    try:
        status = os.stat(log)
        now: tuple[int, int] | None = (status.st_dev, status.st_ino)
    except FileNotFoundError:
        now = None
    looks = {place: _look_of(place) for place in listed.places}
    # Two changes within one tick of the file system clock have the same time.
    lately = time.time_ns() - _LATELY_NS
    return now != current or looks != listed.places or any(changed > lately for _, changed in looks.values())


def _look_of(place: str) -> tuple[int, int]:
    """Inode and modification time of a directory; zeros if it does not exist."""
    try:
        status = os.stat(place)
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns


def _in(directory: str, name: str, places: dict[str, tuple[int, int]]) -> Iterator[Found]:
    # Taken before the listing, so that a change in between is seen the next time.
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
    """The common beginning of the names of all files of a log."""
    directory, slash, name = log.rpartition("/")
    return directory + slash + (name.rpartition(".")[0] or name)


def _regular(entry: os.DirEntry[str], log: str, *, below: bool) -> Iterator[Found]:
    """The entry if it is a regular file of the log. Symlinks are skipped: their target is listed itself, or
    is not a file of the log."""
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
    """Leave out a compressed file while the uncompressed one still exists."""
    names = {one.path for one in found}
    return [one for one in found if (plain := _PACKED.sub("", one.path)) == one.path or plain not in names]
