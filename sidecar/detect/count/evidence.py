"""Stores the lines of counted failures in a ring buffer on disk instead of in memory.

A million attackers in the windows take 200 MB that way, and 700 MB with the lines in memory.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import tempfile
import weakref
from pathlib import Path
from typing import IO

# Header of a line: its place and length. The place shows whether the line was overwritten.
_HEAD = struct.Struct("<QI")
_GATHERED = 1 << 16
# Size of the first read; few lines are longer.
_FIRST_READ = 512
_IN_MEMORY, _ON_DISK = 16 << 20, 256 << 20


class Evidence:
    """Keeps the newest `size` bytes of lines; an overwritten line reads as "".

    `file` is open for reading and writing and used by nothing else; without one, memory is used. Lines that
    cannot be written (full disk) are not kept: a failure counts without its line too.
    """

    def __init__(self, file: IO[bytes] | None = None, size: int = _IN_MEMORY) -> None:
        self._file = file if file is not None else io.BytesIO()
        # Closes the file when this object is garbage collected.
        weakref.finalize(self, self._file.close)
        self._size, self._longest = size, min(_GATHERED, size) - _HEAD.size
        self._descriptor = self._file.fileno() if isinstance(self._file, io.FileIO) else None
        # Places increase for ever; modulo `_size` they are file offsets. Lines from `_begin` on are not yet
        # written; `_end` is the end of the current round. 0 means no place.
        self._begin, self._end = size, 2 * size
        self._waiting = bytearray()

    @classmethod
    def on_disk(cls, directory: Path | None = None, size: int = _ON_DISK) -> Evidence:
        """Use an unnamed file in the directory, else in that for temporary files, else memory."""
        for place in dict.fromkeys((directory, None)):
            with contextlib.suppress(OSError):
                return cls(tempfile.TemporaryFile(dir=place, buffering=0), size)
        return cls()

    def keep(self, line: str) -> int:
        """Store a line. Returns its place; 0 if it is not stored."""
        raw = line.encode("utf-8", "replace")
        length, waiting = len(raw), self._waiting
        if length == 0 or length > self._longest:
            return 0
        place = self._begin + len(waiting)
        if place + _HEAD.size + length > self._end or len(waiting) > _GATHERED:
            place = self._next_place(_HEAD.size + length)
        waiting += _HEAD.pack(place, length) + raw
        return place

    def _next_place(self, needed: int) -> int:
        """Write the waiting lines. Returns the place of the next line, in a new round if this one is full."""
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

    def _read(self, length: int, offset: int) -> bytes:
        if self._descriptor is not None:
            # One system call instead of two.
            return os.pread(self._descriptor, length, offset)
        self._file.seek(offset)
        return self._file.read(length)

    def line(self, place: int) -> str:
        """The line at a place; "" if it was overwritten."""
        if place == 0 or place < self._begin - self._size:
            return ""
        if place >= self._begin:
            begin = place - self._begin + _HEAD.size
            length = _HEAD.unpack_from(self._waiting, begin - _HEAD.size)[1]
            return self._waiting[begin : begin + length].decode("utf-8", "replace")
        try:
            read = self._read(_FIRST_READ, place % self._size)
            if len(read) < _HEAD.size:
                return ""
            begun, length = _HEAD.unpack_from(read)
            if begun != place:
                return ""
            end = _HEAD.size + length
            if end > len(read):
                read += self._read(end - len(read), place % self._size + len(read))
            return read[_HEAD.size : end].decode("utf-8", "replace")
        except OSError:
            return ""
