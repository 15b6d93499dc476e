"""Wakes a follower when its log changed: by inotify on the directories, or by polling."""

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

# Polling interval where inotify does not work: no watches left, or a network file system.
POLL_SECONDS = 0.5
# Polling interval where inotify works, in case it misses an event.
_SURE_SECONDS = 2.0
# Pause after an event: a busy log changes thousands of times a second, and the kernel merges pending events.
_GATHER_SECONDS = 0.002
_SHORTEST_PAUSE = 0.2
_MASK = Mask.MODIFY | Mask.CREATE | Mask.MOVED_TO | Mask.MOVED_FROM | Mask.DELETE | Mask.ATTRIB


class _Waiter:
    """The waiting follower of one path: `own`: the path and its real path; `stems`: the beginning of the
    names of its files; `sure`: inotify watches all its directories."""

    def __init__(self, path: str) -> None:
        self.event = asyncio.Event()
        self.lies_at(path, path)
        self.sure = False
        # Names changed, or other files of the log were written to.
        self.names = False

    def lies_at(self, path: str, real: str) -> None:
        """Set the real path."""
        self.own = path, real
        self.stems = stem(path), stem(real)


class FileWatcher:
    """One inotify instance for all logs; `wait(path)` returns when something happened to that path."""

    def __init__(self) -> None:
        self._waiters: dict[str, _Waiter] = {}
        self._watched: dict[str, tuple[Watch, int]] = {}
        self._polled: set[str] = set()
        self._inotify: Inotify | None = None

    async def wait(self, path: str) -> bool | None:
        """Wait for a change of the path or the end of the polling interval. Whether names changed or other
        files of the log were written to; None if inotify does not work there."""
        waiter = self._waiters.setdefault(path, _Waiter(path))
        try:
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the event.
            async with asyncio.timeout(_SURE_SECONDS if waiter.sure else POLL_SECONDS):
                await waiter.event.wait()
        except TimeoutError:
            return False if waiter.sure else None
        waiter.event.clear()
        names, waiter.names = waiter.names, False
        return names

    async def pause(self, path: str, seconds: Seconds) -> None:
        """Wait for a change of the path, for at least _SHORTEST_PAUSE and at most `seconds`."""
        event = self._waiters.setdefault(path, _Waiter(path)).event
        await asyncio.sleep(_SHORTEST_PAUSE)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        event.clear()

    def forget(self, path: str) -> None:
        """Remove the follower of a path."""
        self._waiters.pop(path, None)

    def watch(self, path: str, directories: Iterable[str], file: str = "") -> None:
        """Watch the directories of a path (or of its `file`, if it is called otherwise), and `directories`.
        Blocks on the disk: call it in a thread.

        Call it again when the path may point elsewhere, or a directory may have been recreated.
        """
        waiter = self._waiters.setdefault(path, _Waiter(path))
        file = file or path
        waiter.lies_at(file, os.path.realpath(file))
        near = {str(Path(own).parent) for own in waiter.own}
        watched = [self._watch(directory) for directory in near | set(directories)]
        waiter.sure = all(watched)

    def _watch(self, directory: str) -> bool:
        """Add an inotify watch for a directory; whether it is watched."""
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
            _log.info("%s is on %s, where inotify does not work; polling it", directory, kind)
            self._polled.add(directory)
            return False
        try:
            self._watched[directory] = inotify.add_watch(directory, _MASK), inode
        except (FileNotFoundError, ValueError):
            # Removed in between; or inotify was closed because the service stops.
            return False
        except OSError as error:
            # Not fatal: it is polled. Logged once per directory.
            _log.warning("cannot watch %s (%s); polling it", directory, error)
            self._polled.add(directory)
            return False
        return True

    async def run(self) -> None:
        """Deliver events until cancelled. Without inotify, followers poll."""
        try:
            self._inotify = Inotify()
        except OSError as error:
            _log.warning("inotify not available (%s); polling logs every %s s", error, POLL_SECONDS)
            return
        # Followers that looked before inotify was ready are not watched yet.
        self._wake(self._waiters.values(), names=True)
        with self._inotify as inotify:
            async for event in inotify:
                if self._deliver(event):
                    await asyncio.sleep(_GATHER_SECONDS)

    def _deliver(self, event: Event) -> bool:
        """Wake the followers of the changed file; whether any of them was waiting."""
        if event.path is None or event.mask & (Mask.Q_OVERFLOW | Mask.IGNORED):
            return self._wake(self._waiters.values(), names=True)
        # The name of a rotated file, which may still be written to, begins with the name of the log.
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
