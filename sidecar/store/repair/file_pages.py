"""Reads single pages of a database file and its write-ahead log, without trusting any of them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from sidecar.model import Seconds
from sidecar.store.repair import wal

_MAGIC = b"SQLite format 3\0"
_USUAL = 4096
_BEGINNING = 100


class DatabasePages:
    """Pages by number, starting at 1. The file may be renamed or written to meanwhile.

    `tick` is called before each page and may sleep, or raise to stop. `patience` limits the time spent on
    the log; `whole`: the log was read to its end. OSError if the file cannot be opened.
    """

    def __init__(self, path: Path, tick: Callable[[], None], patience: Seconds) -> None:
        self._tick, self._log = tick, -1
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            with contextlib.suppress(FileNotFoundError):
                self._log = os.open(path.with_name(path.name + wal.SUFFIX), os.O_RDONLY | os.O_CLOEXEC)
            head, log_head = self._read(self._file, 0, _BEGINNING), self._read(self._log, 0, 32)
            said = int.from_bytes(head[16:18], "big")
            said = 65536 if said == 1 else said
            self.size = wal.page_size(log_head) or _USUAL
            if head.startswith(_MAGIC) and wal.is_page_size(said):
                self.size = said
            self._logged, self.whole = wal.places(
                lambda at, length: self._read(self._log, at, length), time.monotonic() + patience
            )
            bytes_ = os.fstat(self._file).st_size
        except BaseException:
            self.close()
            raise
        self.count = max(-(-bytes_ // self.size), *self._logged, 0)
        self.read = 0
        first = self[1] or b""
        # Schema version; None if the file header is damaged.
        self.version = int.from_bytes(first[60:64], "big") if first.startswith(_MAGIC) else None

    def __getitem__(self, number: int) -> bytes | None:
        """The content of a page; None if it does not exist or cannot be read."""
        self._tick()
        if not 1 <= number <= self.count:
            return None
        self.read += 1
        if number in self._logged:
            data = self._read(self._log, self._logged[number], self.size)
        else:
            data = self._read(self._file, (number - 1) * self.size, self.size)
        return data if len(data) == self.size else None

    @staticmethod
    def _read(file: int, offset: int, length: int) -> bytes:
        if file < 0:
            return b""
        try:
            return os.pread(file, length, offset)
        except OSError:
            # An unreadable sector loses its own content only.
            return b""

    def close(self) -> None:
        """Close both files."""
        for file in (self._file, self._log):
            if file >= 0:
                os.close(file)
        self._file = self._log = -1
