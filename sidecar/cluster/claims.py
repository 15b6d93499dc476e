"""What the hosts decided about each subject, joined: the same result in whatever order the decisions arrive.

A claim (a ban, an allowed network) stands until its end, unless it was lifted by a later decision of any
host. Of several that stand the longest counts: a host that bans for an hour shortens no ban of a year.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from sidecar.cluster.hybrid_clock import NEVER, Stamp
from sidecar.model import Instant, Seconds

# Kind and subject, such as ("ban", network, jail).
Key: TypeAlias = tuple[Any, ...]
# How long a lifted decision is remembered. A host that was away for longer may bring back what was lifted.
REMEMBERED: Seconds = 90 * 86400.0
# Claims of one subject: as a rule one of each host. More would only fill the memory.
_MOST_CLAIMS = 100


class Claim(NamedTuple):
    """A decision that stands until `until` (None: for ever), in the time that the hosts share."""

    stamp: Stamp
    until: Instant | None

    def outlasts(self, other: Claim) -> bool:
        """Whether this claim makes the other one pointless."""
        longer = self.until is None or (other.until is not None and self.until >= other.until)
        return longer and self.stamp >= other.stamp


class Claims:
    """The claims and the last lifting of each subject. Commutative, associative, idempotent."""

    def __init__(self) -> None:
        self._standing: dict[Key, tuple[Claim, ...]] = {}
        self.lifted: dict[Key, Stamp] = {}

    def claim(self, key: Key, claim: Claim) -> bool:
        """Add a claim. Returns whether it changes anything."""
        before = self._standing.get(key, ())
        if claim.stamp <= self.lifted.get(key, NEVER) or any(one.outlasts(claim) for one in before):
            return False
        kept = [one for one in before if not claim.outlasts(one)]
        if len(kept) >= _MOST_CLAIMS:
            return False
        self._standing[key] = (*kept, claim)
        return True

    def lift(self, key: Key, stamp: Stamp) -> bool:
        """End the claims up to this stamp. Returns whether it is the latest lifting."""
        if stamp <= self.lifted.get(key, NEVER):
            return False
        self.lifted[key] = stamp
        if rest := tuple(one for one in self._standing.get(key, ()) if one.stamp > stamp):
            self._standing[key] = rest
        else:
            self._standing.pop(key, None)
        return True

    def standing(self, key: Key) -> tuple[Claim, ...]:
        """The claims that stand."""
        return self._standing.get(key, ())

    def of(self, key: Key) -> Claim | None:
        """The claim that counts."""
        return max(self.standing(key), key=_end, default=None)

    def own(self, key: Key, host: str) -> Claim | None:
        """The claim of a host that still stands, the longest of several."""
        return max((one for one in self.standing(key) if one.stamp.host == host), key=_end, default=None)

    def prune(self, now: Instant) -> None:
        """Forget what is over, and what was lifted long ago."""
        over = [
            key for key, claims in self._standing.items()
            if all(one.until is not None and one.until < now for one in claims)
        ]  # fmt: skip
        for key in over:
            del self._standing[key]
        oldest = (now - REMEMBERED) * 1000
        for key in [key for key, stamp in self.lifted.items() if stamp.ms < oldest]:
            del self.lifted[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._standing)

    def __len__(self) -> int:
        return len(self._standing)


def _end(claim: Claim) -> Instant:
    return float("inf") if claim.until is None else claim.until
