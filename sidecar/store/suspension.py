"""The word that enforcement is suspended: a file, because it must work with a broken database."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_NAME = "suspended"


class Marker:
    """Lies in the state directory. Another process may leave it: `zmban flush` without a service."""

    def __init__(self, state: Path) -> None:
        self._file = state / _NAME

    @property
    def stands(self) -> bool:
        """Whether enforcement is suspended. Not where that cannot be told."""
        return os.access(self._file, os.F_OK)

    def leave(self) -> bool:
        """Suspend; False where nothing can be written there."""
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.touch()
            return True
        return False

    def remove(self) -> None:
        """Suspended no more."""
        self._file.unlink(missing_ok=True)
