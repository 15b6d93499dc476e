"""Counts the steps of a piece of work, so that a test bounds it without a clock.

A step is a call of a Python function. A repetition inside one call, such as the search of a regex, is no step.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Steps:
    """The number of steps so far."""

    def __init__(self) -> None:
        self.count = 0

    def trace(self, _frame: FrameType, _event: str, _argument: object) -> None:
        """For sys.settrace: one call."""
        self.count += 1


@contextmanager
def steps(most: float) -> Iterator[Steps]:
    """Fails if the work in the block takes more than this many steps."""
    steps, before = Steps(), sys.gettrace()
    sys.settrace(steps.trace)
    try:
        yield steps
    finally:
        sys.settrace(before)
    assert steps.count <= most, f"{steps.count} steps, at most {most:g} are allowed"
