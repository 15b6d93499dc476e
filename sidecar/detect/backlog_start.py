"""Finds the start of a backlog in a log by bisection, so that older lines are not read."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO

from sidecar.model import Instant

# A part of this length without any date (a stack trace) ends the search; everything before it is read too.
_UNDATED = 1 << 20
_NEAR = 1 << 16


def first_since(file: IO[bytes], since: Instant, when: Callable[[bytes], Instant | None]) -> int:
    """The offset of a line before which all lines are older than `since`; 0 if there are no dates.

    `when` returns the time of a line (without its newline), None if it has no date. Lines are assumed to be
    in order of time.
    """
    low, high = 0, file.seek(0, os.SEEK_END)
    while high - low > _NEAR:
        middle = (low + high) // 2
        found = _dated(file, middle, high, when)
        if found is None:
            high = middle
            continue
        offset, at = found
        if at >= since:
            high = middle
        else:
            low = offset
    # A log without dates is read whole.
    return low


def _dated(
    file: IO[bytes], start: int, end: int, when: Callable[[bytes], Instant | None]
) -> tuple[int, Instant] | None:
    """The first line with a date that begins behind `start` and before `end`."""
    file.seek(start)
    offset = start + len(file.readline(_UNDATED))
    while offset < min(end, start + _UNDATED):
        line = file.readline(_UNDATED)
        if not line.endswith(b"\n"):
            return None
        at = when(line.rstrip(b"\r\n"))
        if at is not None:
            return offset, at
        offset += len(line)
    return None
