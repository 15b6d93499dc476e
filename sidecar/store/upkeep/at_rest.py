"""Backs up and compacts the database while no service runs."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from sidecar.store.database import FILE, Database
from sidecar.store.state_lock import claimed
from sidecar.store.upkeep import space
from sidecar.store.upkeep.online_copy import OnlineCopy


def backup(state: Path, target: Path, *, force: bool) -> dict[str, Any]:
    """Copy the database of a state directory into a file. A service may start meanwhile. StoreError."""
    begun = time.monotonic()
    copy = OnlineCopy(state / FILE, target, force=force)
    copy.begin()
    written = copy.complete()
    return {"file": str(target), **written, "seconds": round(time.monotonic() - begun, 3), "warnings": []}


def compact(state: Path) -> dict[str, Any]:
    """Rebuild the database of a state directory. ConfigError if a zmban is using it, DamagedError,
    StoreError."""
    begun = time.monotonic()
    with claimed(state), contextlib.closing(Database(state)) as database:
        database.check()
        before = database.bytes()
        space.compact(database)
        after = database.bytes()
    return {"before": before, "after": after, "seconds": round(time.monotonic() - begun, 3)}
