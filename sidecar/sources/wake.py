"""Tells a follower that its file changed: inotify on the directories, a clock where that does not work."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path

from asyncinotify import Event, Inotify, Mask, Watch

_log = logging.getLogger("zmban.sources")

# Bounds how late a change is seen where inotify tells nothing: no watches left, a network file system.
POLL_SECONDS = 0.5
# And where it works: it has never been seen to miss anything, but a ban list should not hang on that.
_SURE_SECONDS = 2.0
# How often it is looked where a symbolic link leads to now, and whether a directory is there.
_LOOK_SECONDS = 1.0
# A busy log changes thousands of times a second; the kernel merges what we do not read at once.
_GATHER_SECONDS = 0.002
_MASK = Mask.MODIFY | Mask.CREATE | Mask.MOVED_TO | Mask.MOVED_FROM | Mask.DELETE | Mask.ATTRIB
# Where other hosts write too, and the kernel here hears of nothing.
_REMOTE = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "glusterfs",
    "afs",
    "ncpfs",
    "lustre",
    "gfs2",
    "ocfs2",
}


def remote(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """The kind of file system that a path lies on, if other hosts may write to it; else None."""
    best, kind = "", ""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        before, _, behind = line.partition(" - ")
        point = before.split(" ")[4].encode().decode("unicode_escape")
        inside = str(path) == point or str(path).startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, behind.split(" ")[0]
    return kind if kind in _REMOTE or kind.startswith("fuse.") else None


class Wake:
    """One inotify for all logs; `wait(path)` returns when something happened to that path."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}
        # What a path really is called now, for a log that is a symbolic link, and when that was looked up.
        self._real: dict[str, tuple[str, float]] = {}
        self._watched: dict[str, tuple[Watch, int]] = {}
        self._polled: set[str] = set()
        self._inotify: Inotify | None = None

    async def wait(self, path: str) -> None:
        """Until something happened to the path, or the polling interval is over."""
        event = self._events.setdefault(path, asyncio.Event())
        sure = self._look(path)
        try:
            # Not wait_for: in Python 3.11 that swallows a cancellation which comes together with the event.
            async with asyncio.timeout(_SURE_SECONDS if sure else POLL_SECONDS):
                await event.wait()
        except TimeoutError:
            return
        event.clear()

    def _look(self, path: str) -> bool:
        """Watch the directories of a path and of what it leads to; whether both are watched."""
        if self._inotify is None:
            return False
        now = time.monotonic()
        real, looked = self._real.get(path, (path, 0.0))
        if now - looked > _LOOK_SECONDS or not looked:
            real = os.path.realpath(path)
            self._real[path] = (real, now)
            self._forget_gone()
        directories = {os.path.dirname(path), os.path.dirname(real)}  # noqa: PTH120 - texts, thousands of times
        return min(map(self._watch, directories))

    def _forget_gone(self) -> None:
        """A directory that was made anew is another one, and is watched anew."""
        for directory, (_, inode) in list(self._watched.items()):
            try:
                same = os.stat(directory).st_ino == inode
            except OSError:
                same = False
            if not same:
                del self._watched[directory]

    def _watch(self, directory: str) -> bool:
        if directory in self._watched:
            return True
        if self._inotify is None or directory in self._polled:
            return False
        kind = remote(Path(directory))
        if kind is not None:
            _log.info("%s lies on %s, where inotify hears nothing; it is polled", directory, kind)
            self._polled.add(directory)
            return False
        try:
            self._watched[directory] = (self._inotify.add_watch(directory, _MASK), os.stat(directory).st_ino)
        except FileNotFoundError:
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
        with self._inotify as inotify:
            async for event in inotify:
                if self._deliver(event):
                    await asyncio.sleep(_GATHER_SECONDS)

    def _deliver(self, event: Event) -> bool:
        """Wake whom it concerns; whether there was somebody."""
        if event.path is None or event.mask & (Mask.Q_OVERFLOW | Mask.IGNORED):
            waiting = list(self._events.values())
        else:
            # A renamed file, which may be written to for a while, begins with the name that it had.
            name = str(event.path)
            waiting = [
                waiter
                for path, waiter in self._events.items()
                if name.startswith((path, self._real.get(path, (path,))[0]))
            ]
        asleep = [one for one in waiting if not one.is_set()]
        for one in asleep:
            one.set()
        return bool(asleep)
