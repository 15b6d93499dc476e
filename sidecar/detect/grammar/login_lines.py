"""Finds lines that show a legitimate client: successful logins, mail that was delivered or found clean.

One line in five is such a line. To parse each would cost more than all jails together, and the next block
shows the same clients, so only the beginning of a long block is searched.
"""

from __future__ import annotations

from collections.abc import Iterator

# A block up to _WHOLE bytes is searched completely, of a longer one the first _BEGINNING bytes.
_WHOLE, _BEGINNING = 256 << 10, 64 << 10
_LONGEST = 4096


def candidates(data: bytes, markers: tuple[bytes, ...], *, everything: bool = False) -> Iterator[bytes]:
    """The lines of a block that may show a legitimate client by one of the markers, without their
    newlines."""
    short = everything or len(data) <= _WHOLE
    yield from lines_with(data, markers, len(data) if short else _BEGINNING)


def lines_with(data: bytes, markers: tuple[bytes, ...], end_of_all: int | None = None) -> Iterator[bytes]:
    """The lines of a block that contain a marker, without their newlines, marker by marker."""
    for marker in markers:
        at = data.find(marker, 0, end_of_all)
        while at >= 0:
            start = data.rfind(b"\n", 0, at) + 1
            end = data.find(b"\n", at)
            if end < 0:
                end = len(data)
            if end - start <= _LONGEST:
                yield data[start:end]
            at = data.find(marker, end, end_of_all)
