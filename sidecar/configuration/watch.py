"""Whether the files of the configuration changed, the exchanged link of a ConfigMap included."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from sidecar.configuration import loading
from sidecar.threads import run_detached

_FOLDERS = (".", "jail.d", "filter.d", "action.d")
# Name, inode, time of modification in nanoseconds, and size of each file.
_Fingerprint = frozenset[tuple[str, int, int, int]]


class ConfigWatch:
    """Calls `changed` when files changed and stayed so for one look more: a copy may be half done."""

    def __init__(self, given: Sequence[str], changed: Callable[[], None]) -> None:
        self._given, self._changed = given, changed
        self._known: _Fingerprint | None = None
        self._seen: _Fingerprint = frozenset()

    async def look(self) -> None:
        """Look once; the first look only remembers."""
        now = await run_detached(fingerprint, self._given)
        if self._known is None:
            self._known = now
        elif now == self._seen != self._known:
            self._known = now
            self._changed()
        self._seen = now


def fingerprint(given: Sequence[str]) -> _Fingerprint:
    """All files that may belong to the configuration."""
    found: set[tuple[str, int, int, int]] = set()
    for layer in loading.layers(given):
        for folder in _FOLDERS:
            with contextlib.suppress(OSError):
                for entry in os.scandir(Path(layer, folder)):
                    with contextlib.suppress(OSError):
                        status = entry.stat()
                        found.add((entry.path, status.st_ino, status.st_mtime_ns, status.st_size))
    return frozenset(found)
