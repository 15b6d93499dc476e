"""The possible outcomes of a policy."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, TypeAlias

from sidecar.detect.count.window import ThresholdReached, Window


class Refuse(NamedTuple):
    """The failure is not counted, or the ban not made. `reason` is a label of refused_total. `clears`: the
    failures that led here are dropped."""

    reason: str
    clears: bool = False


class CountIn(NamedTuple):
    """The failure counts in this window. Below its threshold it is reported as refused for `reason`, or as a
    failure if that is None."""

    window: Window
    reason: str | None = None


class Silent(Enum):
    """Outcomes that refused_total does not count."""

    # The line repeats a login that was already counted.
    DUPLICATE = "duplicate"
    # The ban would have ended already; its failures no longer count.
    OVER = "over"


# None: no objection, the next policy is asked. ThresholdReached: ban at once.
Outcome: TypeAlias = Refuse | CountIn | Silent | ThresholdReached
