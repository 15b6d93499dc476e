"""Which logs there are: the files that the globs of the jails name now, and which jails read each."""

from __future__ import annotations

import asyncio
import glob
import os
from collections.abc import Collection, Iterable, Mapping

from sidecar.app.copies import copies, last_written, without_copies
from sidecar.app.logs import by_file
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Instant, SourceError
from sidecar.sources.disk import Disk
from sidecar.sources.listing import logs_of
from sidecar.sources.packed import is_packed


class Discovery:
    """Looks each glob up in a thread of its own: a directory that does not answer hides only its own logs.

    `trouble` says which globs could not be looked up.
    """

    def __init__(self, jails: Mapping[str, JailSpec]) -> None:
        self._jails = jails
        self._disks: dict[str, Disk] = {}
        # What each glob names, and where each of these names leads.
        self._found: dict[str, dict[str, str]] = {}
        self.trouble: list[str] = []

    async def look(self, read: Collection[str] = ()) -> dict[str, tuple[list[JailSpec], bool]]:
        """Every log, its jails, and whether it is read from its end only: if all of them want it so.

        `read` are logs of which something was read before: one that a jail names without a wildcard is a log
        though its name is gone, for its rotated files are there.
        """
        patterns = [(jail, pattern) for jail in self._jails.values() for pattern in jail.logpath]
        names = sorted({pattern.glob for _, pattern in patterns})
        answers = await asyncio.gather(*(self._look_up(name, read) for name in names))
        self.trouble = [answer for answer in answers if answer is not None]
        named = [
            (path, jail, pattern.tail)
            for jail, pattern in patterns
            for path in self._found.get(pattern.glob, ())
        ]
        tails: dict[str, bool] = {}
        for path, _, tail in named:
            tails[path] = tail and tails.get(path, True)
        real = {path: leads for found in self._found.values() for path, leads in found.items()}
        logs = without_rotated(by_file(((path, jail) for path, jail, _ in named), real.__getitem__))
        logs = without_copies(logs, await self._written([path for same in copies(logs) for path in same]))
        return {path: (jails, tails[path]) for path, jails in logs.items()}

    async def _written(self, paths: list[str]) -> dict[str, Instant]:
        disk = self._disks.setdefault("copies of a log", Disk("copies of a log"))
        try:
            return await disk.ask(last_written, paths) if paths else {}
        except SourceError as error:
            self.trouble.append(str(error))
            return {}

    async def _look_up(self, pattern: str, read: Collection[str]) -> str | None:
        """Why it could not be looked up; what was found before holds then."""
        disk = self._disks.setdefault(pattern, Disk(pattern))
        try:
            found = await disk.ask(_matching, pattern)
            self._found[pattern] = found or ({pattern: pattern} if pattern in read else {})
        except SourceError as error:
            return str(error)
        return None


def _matching(pattern: str) -> dict[str, str]:
    """The files that a glob names, and where each leads; a directory among the matches of a wildcard is not
    meant."""
    found = sorted(glob.glob(pattern))
    if glob.has_magic(pattern):
        found = [path for path in found if not os.path.isdir(path)]  # noqa: PTH112 - a text, not a Path
    return {path: os.path.realpath(path) for path in found if not is_packed(path)}


def without_rotated(logs: Mapping[str, list[JailSpec]]) -> dict[str, list[JailSpec]]:
    """Without the rotated files of logs that are among them: a log's own reading goes on with those, and as
    logs of their own their lines would count twice."""

    def read_already(path: str, jails: Iterable[JailSpec]) -> bool:
        place, slash, name = path.rpartition("/")
        others = (logs.get(place + slash + log, []) for log in logs_of(name))
        return any(all(jail in theirs for jail in jails) for theirs in others)

    return {path: jails for path, jails in logs.items() if not read_already(path, jails)}
