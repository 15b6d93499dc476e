"""The lines of failures that stand in windows: in a file that is written round and round, not in memory."""

from __future__ import annotations

import contextlib
import io
import struct
import tempfile
import weakref
from pathlib import Path
from typing import IO

# Of each line its own place and its length, so that what was written over is never taken for it.
_HEAD = struct.Struct("<QI")
_GATHERED = 1 << 16
# So much is read at once: few lines are longer.
_MOSTLY = 512
_IN_MEMORY, _ON_DISK = 16 << 20, 256 << 20


class Evidence:
    """Keeps the newest lines, `size` bytes of them; a line that had to make room for others is "".

    `file` is open for reading and writing, and nobody else's; without one a little memory serves. What cannot
    be written, as on a full disk, is not kept: a failure counts without its line too.
    """

    def __init__(self, file: IO[bytes] | None = None, size: int = _IN_MEMORY) -> None:
        self._file = file if file is not None else io.BytesIO()
        # Whoever forgets the evidence closes its file.
        weakref.finalize(self, self._file.close)
        self._size, self._longest = size, min(_GATHERED, size) - _HEAD.size
        # Places count up for ever, round by round; from `_begin` on they wait to be written, `_end` ends the
        # round. 0 is no place.
        self._begin, self._end = size, 2 * size
        self._waiting = bytearray()

    @classmethod
    def on_disk(cls, directory: Path | None = None) -> Evidence:
        """In a file without a name: in the directory, else where temporary files are. Where nothing can be
        written a little memory serves."""
        for place in dict.fromkeys((directory, None)):
            with contextlib.suppress(OSError):
                return cls(tempfile.TemporaryFile(dir=place, buffering=0), _ON_DISK)
        return cls()

    def keep(self, line: str) -> int:
        """Where a line is kept from now on; 0 for none."""
        raw = line.encode("utf-8", "replace")
        length, waiting = len(raw), self._waiting
        if length == 0 or length > self._longest:
            return 0
        place = self._begin + len(waiting)
        if place + _HEAD.size + length > self._end or len(waiting) > _GATHERED:
            place = self._turn(_HEAD.size + length)
        waiting += _HEAD.pack(place, length) + raw
        return place

    def _turn(self, needed: int) -> int:
        """Write what waits; where the next line of this length has its place, in a new round where the old
        one has no room for it."""
        self._write()
        if self._begin + needed > self._end:
            self._begin = self._end
            self._end += self._size
        return self._begin

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
            begin = place - self._begin + _HEAD.size
            length = _HEAD.unpack_from(self._waiting, begin - _HEAD.size)[1]
            return self._waiting[begin : begin + length].decode("utf-8", "replace")
        try:
            self._file.seek(place % self._size)
            read = self._file.read(_MOSTLY)
            if len(read) < _HEAD.size:
                return ""
            begun, length = _HEAD.unpack_from(read)
            if begun != place:
                return ""
            end = _HEAD.size + length
            if end > len(read):
                read += self._file.read(end - len(read))
            return read[_HEAD.size : end].decode("utf-8", "replace")
        except OSError:
            return ""
