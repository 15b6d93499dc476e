"""Marks enforcement as suspended, in a file, so that `zmban flush` works with a broken database."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_NAME = "suspended"


class SuspensionMarker:
    """A marker file in the state directory. `zmban flush` without a service also creates it."""

    def __init__(self, state: Path) -> None:
        self._file = state / _NAME

    @property
    def is_suspended(self) -> bool:
        """Whether enforcement is suspended; False if that cannot be determined."""
        return os.access(self._file, os.F_OK)

    def suspend(self) -> bool:
        """Suspend enforcement; False if the file cannot be created."""
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.touch()
            return True
        return False

    def resume(self) -> None:
        """Resume enforcement."""
        self._file.unlink(missing_ok=True)
