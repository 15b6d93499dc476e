"""Finds the logs: the files that the globs of the jails match now, and the jails that read each."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Instant, SourceError
from sidecar.sources.files.content import FileKey
from sidecar.sources.files.disk import Disk
from sidecar.sources.files.rotation import Found, logs_of
from sidecar.sources.kinds import file_path, kind_of
from sidecar.sources.log_copies import copies, last_written, need_not_be, without_copies
from sidecar.sources.log_lookup import UNTOLD, Answer
from sidecar.sources.log_names import by_file, names

_COPIES = "copies of a log"


class Named(NamedTuple):
    """A log that jails name: the jails, whether all of them read it from its end only, and its file. `key` is
    None if there is no file with this name, as during a rotation."""

    jails: list[JailSpec]
    tail: bool
    key: FileKey | None


class Discovery:
    """Looks up each glob in its own thread, so that a hanging directory hides only its own logs.

    `trouble` has the globs that could not be looked up, `missing` those that match nothing, each with a
    sentence. `aliases` are names without a wildcard whose file is read under another name.
    """

    def __init__(self, jails: Mapping[str, JailSpec], turns: asyncio.Semaphore | None = None) -> None:
        self._jails, self._turns = jails, turns
        self._disks: dict[str, Disk] = {}
        self._answers: dict[str, Answer] = {}
        # Names without a wildcard whose log was read before.
        self._read: set[str] = set()
        # The logs that are no longer followed, with the renamed file of each.
        self._left: dict[str, Found | None] = {}
        self.trouble: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        self.aliases: dict[str, str] = {}

    @property
    def patterns(self) -> set[str]:
        """The values of `logpath` of all jails."""
        return {log.glob for jail in self._jails.values() for log in jail.logpath}

    def remember(self, read: Iterable[str]) -> None:
        """Remember logs that were read before: such a log, named without a wildcard, is followed even if its
        file is missing, because its rotated files are there."""
        self._read |= self.patterns.intersection(read)

    def readers(self, path: str) -> set[str]:
        """The jails that name this path, whether it exists or not."""
        return {
            jail.name for jail in self._jails.values() if any(names(log.glob, path) for log in jail.logpath)
        }

    def leave(self, path: str, renamed: Found | None) -> None:
        """Stop treating this as a log until its name is back, or the renamed file is written to."""
        self._left[path] = renamed

    def gone(self) -> Iterator[tuple[str, str]]:
        """Logs that were read, are named without a wildcard, and do not exist now; each with the reason."""
        return ((pattern, why) for pattern, why in self.missing.items() if pattern in self._read)

    async def look(self, followed: Collection[str] = ()) -> dict[str, Named]:
        """All logs. A `followed` one is included until `leave`, even if its name is gone."""
        patterns = self.patterns
        answers = await asyncio.gather(*(self._look_up(pattern, followed) for pattern in sorted(patterns)))
        self.trouble = {pattern: why for pattern, why in answers if why is not None}
        found = {pattern: self._answers.get(pattern, Answer({}, "")) for pattern in patterns}
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
        """The logs that are no longer followed and not back. A renamed file that a jail reads as its own log
        does not bring a log back."""
        gone = {p: one for p, one in self._left.items() if keys.get(p) is None}
        gone = {p: None if one and one.path in keys else one for p, one in gone.items()}
        self._left = {p: one for p, one in gone.items() if one or p in self._read}
        return {*gone}

    async def _look_up(self, pattern: str, followed: Collection[str]) -> tuple[str, str | None]:
        """Look up a pattern. Returns the reason if that failed; the previous result stays valid then."""
        disk = self._disks.setdefault(pattern, Disk(pattern, turns=self._turns))
        before = self._answers[pattern].found if pattern in self._answers else {}
        known = {path for path in before if path in followed or self._left.get(path)}
        known |= self._read & {pattern}
        left = {path: one for path in known if (one := self._left.get(path)) is not None}
        try:
            self._answers[pattern], back = await disk.ask(_look_up, pattern, known, left)
        except SourceError as error:
            return pattern, str(error)
        for path in back:
            self._left.pop(path, None)
        return pattern, None


def _identity(path: str, key: FileKey | None) -> tuple[str, FileKey] | str:
    """The identity of a log: two names of one file are one log, if they are read in one way."""
    if key is None or key == UNTOLD:
        return path
    return path.removesuffix(file_path(path)), key


def _aliases(
    names: Iterable[str], keys: Mapping[str, FileKey | None], logs: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Names whose file is read as another log, or as the rotated file of one."""
    by_key = {_identity(path, keys[path]): path for path in logs}
    for name in names:
        if (key := keys.get(name)) is not None:
            log = by_key.get(_identity(name, key)) or next(filter(logs.__contains__, rotated_of(name)), None)
            if log is not None:
                yield name, log


def _look_up(pattern: str, known: Collection[str], left: Mapping[str, Found]) -> tuple[Answer, list[str]]:
    """The files that a pattern matches, and the `left` logs that are back because their renamed file
    changed."""
    try:
        answer = kind_of(pattern).look_up(pattern, known)
    except ValueError as error:
        return Answer({}, str(error)), []
    back = [path for path, renamed in left.items() if answer.found.get(path) is None and _changed(renamed)]
    return answer, back


def _changed(renamed: Found) -> bool:
    """Whether a renamed file was written to, or replaced."""
    try:
        status = os.stat(renamed.path)
    except OSError:
        return True
    return (status.st_dev, status.st_ino, status.st_size) != (*renamed.key, renamed.size)


def rotated_of(path: str) -> Iterator[str]:
    """The logs in the same directory whose rotated file this path may be."""
    place, slash, name = path.rpartition("/")
    return (place + slash + log for log in logs_of(name))


def without_rotated(logs: Mapping[str, list[JailSpec]]) -> dict[str, list[JailSpec]]:
    """Remove rotated files of other logs: these logs read them already, so their lines would count twice."""

    def read_already(path: str, jails: Iterable[JailSpec]) -> bool:
        others = (logs.get(log, []) for log in rotated_of(path))
        return any(all(jail in theirs for jail in jails) for theirs in others)

    return {path: jails for path, jails in logs.items() if not read_already(path, jails)}
