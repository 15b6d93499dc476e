"""Tells a follower that its file changed: inotify on the directories, a clock where that does not work."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from asyncinotify import Inotify, Mask

_log = logging.getLogger("zmban.sources")

# Bounds how late a change is seen where inotify fails (network file systems, no watches left).
POLL_SECONDS = 0.5
# A busy log changes thousands of times a second; the kernel merges what we do not read at once.
_GATHER_SECONDS = 0.002
_MASK = Mask.MODIFY | Mask.CREATE | Mask.MOVED_TO | Mask.MOVED_FROM | Mask.DELETE | Mask.ATTRIB


class Wake:
    """One inotify for all logs. `event(path)` is set when something happened to that path."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}
        self._watched: set[Path] = set()
        self._inotify: Inotify | None = None

    def event(self, path: str) -> asyncio.Event:
        """The event of one path; its directory is watched from now on."""
        self._watch(Path(path).parent)
        return self._events.setdefault(path, asyncio.Event())

    async def wait(self, path: str) -> None:
        """Until something happened to the path, or the polling interval is over."""
        event = self.event(path)
        try:
            await asyncio.wait_for(event.wait(), POLL_SECONDS)
        except TimeoutError:
            return
        event.clear()

    def _watch(self, directory: Path) -> None:
        if self._inotify is None or directory in self._watched:
            return
        try:
            self._inotify.add_watch(directory, _MASK)
            self._watched.add(directory)
        except OSError as error:
            # Not fatal: the clock takes over. Said once per directory.
            _log.warning("%s cannot be watched (%s); it is polled instead", directory, error)
            self._watched.add(directory)

    async def run(self) -> None:
        """Deliver events until cancelled. Without inotify, followers only poll."""
        try:
            self._inotify = Inotify()
        except OSError as error:
            _log.warning("no inotify (%s); logs are polled every %s s", error, POLL_SECONDS)
            return
        with self._inotify as inotify:
            for path in self._events:
                self._watch(Path(path).parent)
            async for event in inotify:
                if event.path is not None:
                    waiting = self._events.get(str(event.path))
                    if waiting is not None and not waiting.is_set():
                        waiting.set()
                        await asyncio.sleep(_GATHER_SECONDS)
