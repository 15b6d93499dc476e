"""Which logs there are: the files that the globs of the jails name now, and which jails read each."""

from __future__ import annotations

import asyncio
import glob
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from sidecar.app.ingest.followed_log import by_file, names
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Instant, SourceError
from sidecar.sources.files.content import FileKey
from sidecar.sources.files.descriptors import reason
from sidecar.sources.files.disk import Disk
from sidecar.sources.files.packed import is_packed
from sidecar.sources.files.rotation import Found, logs_of
from sidecar.sources.log_copies import copies, last_written, need_not_be, without_copies

_COPIES = "copies of a log"
# A file of which it cannot be told which one it is.
_UNTOLD = (0, 0)


class Named(NamedTuple):
    """A log that jails name: who reads it, whether from its end only (if all of them want it so), and which
    file bears its name. `key` is None where none does: a rotation takes it away for a moment."""

    jails: list[JailSpec]
    tail: bool
    key: FileKey | None


class _Answer(NamedTuple):
    """What a glob names, each with its file (None: its name is gone), and why it names nothing."""

    found: dict[str, FileKey | None]
    why: str


class Discovery:
    """Looks each glob up in a thread of its own: a directory that does not answer hides only its own logs.

    `trouble` says which globs could not be looked up, `missing` which of them name nothing, both with a
    sentence. `aliases` are names without a wildcard whose file is read under another name.
    """

    def __init__(self, jails: Mapping[str, JailSpec], turns: asyncio.Semaphore | None = None) -> None:
        self._jails, self._turns = jails, turns
        self._disks: dict[str, Disk] = {}
        self._answers: dict[str, _Answer] = {}
        # Names without a wildcard of which something was read.
        self._read: set[str] = set()
        # What was given up, and the renamed file of each.
        self._left: dict[str, Found | None] = {}
        self.trouble: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        self.aliases: dict[str, str] = {}

    @property
    def patterns(self) -> set[str]:
        """What the jails say in `logpath`."""
        return {log.glob for jail in self._jails.values() for log in jail.logpath}

    def remember(self, read: Iterable[str]) -> None:
        """Of these logs something was read before: one that a jail names without a wildcard is a log though
        its name is gone, for its rotated files are there."""
        self._read |= self.patterns.intersection(read)

    def readers(self, path: str) -> set[str]:
        """The jails that name this path, whether it is there or not."""
        return {
            jail.name for jail in self._jails.values() if any(names(log.glob, path) for log in jail.logpath)
        }

    def leave(self, path: str, renamed: Found | None) -> None:
        """It is no log any more until its name is back, or somebody writes into the file that bore it."""
        self._left[path] = renamed

    def gone(self) -> Iterator[tuple[str, str]]:
        """The logs that a jail names without a wildcard, and that were read and are not there; with why."""
        return ((pattern, why) for pattern, why in self.missing.items() if pattern in self._read)

    async def look(self, followed: Collection[str] = ()) -> dict[str, Named]:
        """Every log. One of those that are `followed` is a log though its name is gone, until it is left."""
        patterns = self.patterns
        answers = await asyncio.gather(*(self._look_up(pattern, followed) for pattern in sorted(patterns)))
        self.trouble = {pattern: why for pattern, why in answers if why is not None}
        found = {pattern: self._answers.get(pattern, _Answer({}, "")) for pattern in patterns}
        keys = {path: key for one in found.values() for path, key in one.found.items()}
        self._read |= {pattern for pattern in patterns if keys.get(pattern)}
        left = self._still_left(keys)
        nothing = [p for p, one in found.items() if one.found.keys() <= left]
        expected = [p for p in nothing if p in self.trouble or not need_not_be(p)]
        self.missing = {pattern: self.trouble.get(pattern) or found[pattern].why for pattern in expected}
        named = [
            (path, jail, log.tail)
            for jail in self._jails.values()
            for log in jail.logpath
            for path, key in found[log.glob].found.items()
            if key or path not in left
        ]
        every = by_file(((path, jail) for path, jail, _ in named), lambda path: _identity(path, keys[path]))
        logs = without_rotated(every)
        self.aliases = dict(_aliases(patterns - logs.keys(), keys, logs))
        tails: dict[str, bool] = {}
        for path, _, tail in named:
            tails[path] = tail and tails.get(path, True)
        logs = without_copies(logs, await self._written([path for same in copies(logs) for path in same]))
        return {path: Named(jails, tails[path], keys[path]) for path, jails in logs.items()}

    async def _written(self, paths: list[str]) -> dict[str, Instant]:
        disk = self._disks.setdefault(_COPIES, Disk(_COPIES, turns=self._turns))
        try:
            return await disk.ask(last_written, paths) if paths else {}
        except SourceError as error:
            self.trouble[_COPIES] = str(error)
            return {}

    def _still_left(self, keys: Mapping[str, FileKey | None]) -> set[str]:
        """What was given up and is not back. A renamed file that a jail reads as a log of its own brings
        nothing back."""
        gone = {p: one for p, one in self._left.items() if keys.get(p) is None}
        gone = {p: None if one and one.path in keys else one for p, one in gone.items()}
        self._left = {p: one for p, one in gone.items() if one or p in self._read}
        return {*gone}

    async def _look_up(self, pattern: str, followed: Collection[str]) -> tuple[str, str | None]:
        """Why it could not be looked up; what was found before holds then."""
        disk = self._disks.setdefault(pattern, Disk(pattern, turns=self._turns))
        before = self._answers[pattern].found if pattern in self._answers else {}
        known = {path for path in before if path in followed or self._left.get(path)}
        known |= self._read & {pattern}
        left = {path: one for path in known if (one := self._left.get(path)) is not None}
        try:
            self._answers[pattern], back = await disk.ask(_looked_up, pattern, known, left)
        except SourceError as error:
            return pattern, str(error)
        for path in back:
            self._left.pop(path, None)
        return pattern, None


def _identity(path: str, key: FileKey | None) -> FileKey | str:
    """Two names of one file are one log."""
    return path if key is None or key == _UNTOLD else key


def _aliases(
    names: Iterable[str], keys: Mapping[str, FileKey | None], logs: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Of names that are no logs those whose file is read as another log, or as a rotated file of one."""
    by_key = {_identity(path, keys[path]): path for path in logs}
    for name in names:
        if (key := keys.get(name)) is not None:
            log = by_key.get(_identity(name, key)) or next(filter(logs.__contains__, rotated_of(name)), None)
            if log is not None:
                yield name, log


def _looked_up(pattern: str, known: Collection[str], left: Mapping[str, Found]) -> tuple[_Answer, list[str]]:
    """What a glob names, and those `known` that are gone; which of those that were `left` are back, for
    their renamed file changed. A directory among the matches of a wildcard is not meant."""
    magic = glob.has_magic(pattern)
    found: dict[str, FileKey | None] = {}
    for path in sorted({*glob.glob(pattern), *known}):
        if not is_packed(path) and not (magic and os.path.isdir(path)):  # noqa: PTH112 - a text, not a Path
            found[path] = _key(path)
    back = [path for path, renamed in left.items() if found.get(path) is None and _changed(renamed)]
    return _Answer(found, "" if any(found.values()) else why_nothing(pattern)), back


def _key(path: str) -> FileKey | None:
    """Which file bears a name, None where none does. A listing may miss what is there, for want of rights or
    descriptors: no name is gone but by the word of the kernel."""
    for look in (os.stat, os.lstat):
        try:
            status = look(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return _UNTOLD
        return status.st_dev, status.st_ino
    return None


def _changed(renamed: Found) -> bool:
    """Whether somebody wrote into a renamed file, or it is no more what it was."""
    try:
        status = os.stat(renamed.path)
    except OSError:
        return True
    return (status.st_dev, status.st_ino, status.st_size) != (*renamed.key, renamed.size)


def why_nothing(pattern: str) -> str:
    """Why there is no log that a jail names so."""
    if is_packed(pattern):
        return f"{pattern} is packed: name the log itself, its packed files are read with it"
    fixed = pattern
    while glob.has_magic(fixed):
        fixed = os.path.dirname(fixed)  # noqa: PTH120 - a text, not a Path
    try:
        if fixed == pattern:
            os.stat(fixed)
        else:
            os.scandir(fixed).close()
    except (FileNotFoundError, NotADirectoryError):
        while (above := os.path.dirname(fixed)) != fixed and not os.path.isdir(above):  # noqa: PTH112, PTH120
            fixed = above
        if fixed != pattern:
            return f"{pattern} is not there, for there is no directory {fixed}: is it mounted?"
        return f"{pattern} is not there; it is read as soon as it appears"
    except OSError as error:
        return f"{pattern} cannot be looked up: {reason(error)}"
    return f"no file matches {pattern}; it is read as soon as one appears"


def rotated_of(path: str) -> Iterator[str]:
    """The logs beside a path whose rotated file it may be."""
    place, slash, name = path.rpartition("/")
    return (place + slash + log for log in logs_of(name))


def without_rotated(logs: Mapping[str, list[JailSpec]]) -> dict[str, list[JailSpec]]:
    """Without the rotated files of logs that are among them: a log's own reading goes on with those, and as
    logs of their own their lines would count twice."""

    def read_already(path: str, jails: Iterable[JailSpec]) -> bool:
        others = (logs.get(log, []) for log in rotated_of(path))
        return any(all(jail in theirs for jail in jails) for theirs in others)

    return {path: jails for path, jails in logs.items() if not read_already(path, jails)}
