"""The lines of failures that stand in windows: in a file that is written round and round, not in memory."""

from __future__ import annotations

import io
import struct
import weakref
from typing import IO

# Of each line its own place and its length, so that what was written over is never taken for it.
_HEAD = struct.Struct("<QI")
_GATHERED = 1 << 16
_IN_MEMORY = 1 << 24


class Evidence:
    """Keeps the newest lines, `size` bytes of them; a line that had to make room for others is "".

    `file` is open for reading and writing, and nobody else's; without one a little memory serves. What cannot
    be written, as on a full disk, is not kept: a failure counts without its line too.
    """

    def __init__(self, file: IO[bytes] | None = None, size: int = _IN_MEMORY) -> None:
        self._file = file if file is not None else io.BytesIO()
        # Whoever forgets the evidence closes its file.
        weakref.finalize(self, self._file.close)
        self._size = size
        # Places count up for ever, round by round; from `_begin` on they wait to be written. 0 is no place.
        self._begin = size
        self._waiting = bytearray()

    def keep(self, line: str) -> int:
        """Where a line is kept from now on; 0 for none."""
        raw = line.encode("utf-8", "replace")
        needed = _HEAD.size + len(raw)
        if not raw or needed > _GATHERED:
            return 0
        left = self._size - self._begin % self._size - len(self._waiting)
        if needed > left:
            self._write()
            self._begin += -self._begin % self._size
        elif len(self._waiting) > _GATHERED:
            self._write()
        place = self._begin + len(self._waiting)
        self._waiting += _HEAD.pack(place, len(raw)) + raw
        return place

    def _write(self) -> None:
        try:
            self._file.seek(self._begin % self._size)
            self._file.write(self._waiting)
        except OSError:
            pass
        self._begin += len(self._waiting)
        self._waiting.clear()

    def line(self, place: int) -> str:
        """The line at a place, "" if it is kept no more."""
        if place == 0 or place < self._begin - self._size:
            return ""
        if place >= self._begin:
            at = place - self._begin
            head = bytes(self._waiting[at : at + _HEAD.size])
            raw = bytes(self._waiting[at + _HEAD.size :][: _HEAD.unpack(head)[1]])
            return raw.decode("utf-8", "replace")
        try:
            self._file.seek(place % self._size)
            head = self._file.read(_HEAD.size)
            if len(head) < _HEAD.size or _HEAD.unpack(head)[0] != place:
                return ""
            return self._file.read(_HEAD.unpack(head)[1]).decode("utf-8", "replace")
        except OSError:
            return ""
