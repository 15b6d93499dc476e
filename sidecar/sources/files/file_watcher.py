"""Tells a follower that its file changed: inotify on the directories, a clock where that does not work."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from asyncinotify import Event, Inotify, Mask, Watch

from sidecar.model import Seconds
from sidecar.sources.files.disk import remote
from sidecar.sources.files.rotation import stem

_log = logging.getLogger("zmban.sources")

# Bounds how late a change is seen where inotify tells nothing: no watches left, a network file system.
POLL_SECONDS = 0.5
# And where it works: it has never been seen to miss anything, but a ban list should not hang on that.
_SURE_SECONDS = 2.0
# A busy log changes thousands of times a second; the kernel merges what we do not read at once.
_GATHER_SECONDS = 0.002
_SHORTEST_PAUSE = 0.2
_MASK = Mask.MODIFY | Mask.CREATE | Mask.MOVED_TO | Mask.MOVED_FROM | Mask.DELETE | Mask.ATTRIB


class _Waiter:
    """Who waits for one path: it and what it really is called, what the names of its files begin with, and
    whether inotify watches where they lie."""

    def __init__(self, path: str) -> None:
        self.event = asyncio.Event()
        self.lies_at(path, path)
        self.sure = False
        # Something else happened than that the file itself was written to.
        self.names = False

    def lies_at(self, path: str, real: str) -> None:
        """What it really is called now."""
        self.own = path, real
        self.stems = stem(path), stem(real)


class FileWatcher:
    """One inotify for all logs; `wait(path)` returns when something happened to that path."""

    def __init__(self) -> None:
        self._waiters: dict[str, _Waiter] = {}
        self._watched: dict[str, tuple[Watch, int]] = {}
        self._polled: set[str] = set()
        self._inotify: Inotify | None = None

    async def wait(self, path: str) -> bool | None:
        """Until something happened to the path, or the polling interval is over. Whether names changed or
        other files of this log were written to; None where inotify cannot tell."""
        waiter = self._waiters.setdefault(path, _Waiter(path))
        try:
            # Not wait_for: in Python 3.11 that swallows a cancellation which comes together with the event.
            async with asyncio.timeout(_SURE_SECONDS if waiter.sure else POLL_SECONDS):
                await waiter.event.wait()
        except TimeoutError:
            return False if waiter.sure else None
        waiter.event.clear()
        names, waiter.names = waiter.names, False
        return names

    async def pause(self, path: str, seconds: Seconds) -> None:
        """Until something happens to the path, but neither for a moment only nor for longer than this."""
        event = self._waiters.setdefault(path, _Waiter(path)).event
        await asyncio.sleep(_SHORTEST_PAUSE)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        event.clear()

    def forget(self, path: str) -> None:
        """Nobody waits for it any more."""
        self._waiters.pop(path, None)

    def watch(self, path: str, directories: Iterable[str]) -> None:
        """Watch where a path lies. It waits for the disk: call it in a thread.

        To be called again when a path may lead elsewhere, or a directory may have been made anew.
        """
        waiter = self._waiters.setdefault(path, _Waiter(path))
        waiter.lies_at(path, os.path.realpath(path))
        near = {str(Path(own).parent) for own in waiter.own}
        watched = [self._watch(directory) for directory in near | set(directories)]
        waiter.sure = all(watched)

    def _watch(self, directory: str) -> bool:
        """Whether inotify tells of what happens in a directory."""
        inotify = self._inotify
        try:
            inode = os.stat(directory).st_ino
        except OSError:
            return False
        watch, watched = self._watched.get(directory, (None, 0))
        if inotify is None or directory in self._polled:
            return False
        if watch is not None and watched == inode:
            return True
        kind = remote(Path(directory))
        if kind is not None:
            _log.info("%s lies on %s, where inotify hears nothing; it is polled", directory, kind)
            self._polled.add(directory)
            return False
        try:
            self._watched[directory] = inotify.add_watch(directory, _MASK), inode
        except (FileNotFoundError, ValueError):
            # Gone in between; or this inotify was closed, for the service stops.
            return False
        except OSError as error:
            # Not fatal: the clock takes over. Said once per directory.
            _log.warning("%s cannot be watched (%s); it is polled instead", directory, error)
            self._polled.add(directory)
            return False
        return True

    async def run(self) -> None:
        """Deliver events until cancelled. Without inotify, followers only poll."""
        try:
            self._inotify = Inotify()
        except OSError as error:
            _log.warning("no inotify (%s); logs are polled every %s s", error, POLL_SECONDS)
            return
        # Who looked before this was there is not watched yet.
        self._wake(self._waiters.values(), names=True)
        with self._inotify as inotify:
            async for event in inotify:
                if self._deliver(event):
                    await asyncio.sleep(_GATHER_SECONDS)

    def _deliver(self, event: Event) -> bool:
        """Wake whom it concerns; whether there was somebody."""
        if event.path is None or event.mask & (Mask.Q_OVERFLOW | Mask.IGNORED):
            return self._wake(self._waiters.values(), names=True)
        # A renamed file, which may be written to for a while, begins with the name that it had.
        name, woken = str(event.path), False
        for waiter in self._waiters.values():
            if name.startswith(waiter.stems):
                own = name in waiter.own
                woken |= self._wake([waiter], names=not own or not event.mask & Mask.MODIFY)
        return woken

    @staticmethod
    def _wake(waiters: Iterable[_Waiter], *, names: bool) -> bool:
        asleep = False
        for waiter in waiters:
            asleep |= not waiter.event.is_set()
            waiter.names |= names
            waiter.event.set()
        return asleep
