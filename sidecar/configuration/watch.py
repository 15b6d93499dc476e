"""Looks whether the files of the configuration changed, a ConfigMap's exchanged link included."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from sidecar.app.background import run_detached
from sidecar.configuration import loading
from sidecar.model import Seconds

_LOOK_SECONDS: Seconds = 2.0
_FOLDERS = (".", "jail.d", "filter.d", "action.d")


async def watch(given: Sequence[str], changed: Callable[[], None]) -> None:
    """Call `changed` when files changed and stay so for one look more, for a copy may be half done. Until
    cancelled."""
    known = seen = await run_detached(fingerprint, given)
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        now = await run_detached(fingerprint, given)
        if now == seen != known:
            known = now
            changed()
        seen = now


def fingerprint(given: Sequence[str]) -> frozenset[tuple[str, int, int, int]]:
    """All files that may belong to the configuration: name, inode, time and size of each."""
    found: set[tuple[str, int, int, int]] = set()
    for layer in loading.layers(given):
        for folder in _FOLDERS:
            with contextlib.suppress(OSError):
                for entry in os.scandir(Path(layer, folder)):
                    with contextlib.suppress(OSError):
                        status = entry.stat()
                        found.add((entry.path, status.st_ino, status.st_mtime_ns, status.st_size))
    return frozenset(found)
