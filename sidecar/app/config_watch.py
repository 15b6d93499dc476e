"""Looks whether the files of the configuration changed, a ConfigMap's exchanged link included."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sidecar.app import configuration
from sidecar.app.threads import beside
from sidecar.model import Seconds

_log = logging.getLogger("zmban.config")
_LOOK_SECONDS: Seconds = 2.0
_FOLDERS = (".", "jail.d", "filter.d", "action.d")


class ConfigWatch:
    """Calls `reload` when files changed and stay so for one look more: a copy may be half done."""

    def __init__(self, given: Sequence[str], reload: Callable[[], Awaitable[object]]) -> None:
        self._given, self._reload = given, reload

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look while inside."""
        task = asyncio.get_running_loop().create_task(self._run())
        try:
            yield
        finally:
            task.cancel()

    async def _run(self) -> None:
        known = seen = await beside(fingerprint, self._given)
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = await beside(fingerprint, self._given)
            if now == seen != known:
                known = now
                try:
                    await self._reload()
                except Exception:
                    _log.exception("the configuration that changed could not be read")
            seen = now


def fingerprint(given: Sequence[str]) -> frozenset[tuple[str, int, int, int]]:
    """All files that may belong to the configuration: name, inode, time and size of each."""
    found: set[tuple[str, int, int, int]] = set()
    for layer in configuration.layers(given):
        for folder in _FOLDERS:
            with contextlib.suppress(OSError):
                for entry in os.scandir(Path(layer, folder)):
                    with contextlib.suppress(OSError):
                        status = entry.stat()
                        found.add((entry.path, status.st_ino, status.st_mtime_ns, status.st_size))
    return frozenset(found)
