"""What hosts should have that decided so: of a subject the longest claim behind its last lifting."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from sidecar.cluster.claims import Key
from sidecar.cluster.hybrid_clock import NEVER, Stamp
from tests.app.cluster.together import CLOSE


class Decision(NamedTuple):
    """A claim that ends at `until`, or (None) a lifting. `sure`: it survives a crash of its host."""

    key: Key
    stamp: Stamp
    until: float | None
    sure: bool = True


class Model:
    """All decisions."""

    def __init__(self) -> None:
        self.found: list[Decision] = []

    def outcomes(self, key: Key) -> list[float | None]:
        """The ends that the claim that counts may have, None if there is none."""
        about = [one for one in self.found if one.key == key]
        unsure = [one for one in about if not one.sure]
        kept = itertools.product((True, False), repeat=len(unsure))
        return [self._outcome([one for one in about if one.sure or one in itertools.compress(unsure, keep)])
                for keep in kept]  # fmt: skip

    @staticmethod
    def _outcome(about: list[Decision]) -> float | None:
        last = max((one.stamp for one in about if one.until is None), default=NEVER)
        return max((one.until for one in about if one.until is not None and one.stamp > last), default=None)


def same(one: float | None, other: float | None) -> bool:
    """Whether two ends are as close as the clocks are known."""
    return one == other or (one is not None and other is not None and abs(one - other) < CLOSE)
