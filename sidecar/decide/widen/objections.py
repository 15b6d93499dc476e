"""Why a prefix must not be banned as a whole, although enough of its units are banned."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from sidecar.bans.guard import Guard
from sidecar.decide.known_good import KnownGood
from sidecar.model import Instant
from sidecar.network import Network, Ranges

# Labels of refused_total.
HELD, KNOWN_GOOD = "widen-held", "widen-known-good"
PROTECTED, TOO_WIDE = "widen-protected", "widen-too-wide"


class Objection(NamedTuple):
    """A label of refused_total, and the reason in words."""

    reason: str
    text: str


class Objections:
    """Knows who must not be cut off together with others. `held` are prefixes that an administrator let in,
    with the last time at which they are not banned again."""

    def __init__(self, known_good: KnownGood) -> None:
        self._known_good = known_good
        self.held: Mapping[Network, Instant] = {}
        self.spare(Guard({}), ())

    def spare(self, guard: Guard, networks: Iterable[Network]) -> None:
        """Set the protected networks, and all others that no widened ban may contain or lie in."""
        self._guard, self._spared = guard, list(networks)
        # Sorted at the first question: ignore lists change one by one.
        self._ranges: Ranges | None = None

    def to(self, prefix: Network, now: Instant) -> Objection | None:
        """The objection to a ban of this prefix, None if there is none."""
        if self._guard.refuse(prefix) == "too-wide":
            return Objection(TOO_WIDE, f"a /{prefix.length} is wider than [kernel] allows")
        if self._ranges is None:
            self._ranges = self._guard.matters(self._spared)
        if self._ranges.touch(prefix):
            return Objection(PROTECTED, f"{self._example(prefix)} is protected, allowed or ignored")
        good = self._known_good
        if clients := good.clients.inside(prefix, now):
            return Objection(KNOWN_GOOD, f"accounts logged in from {clients} of its networks recently")
        if servers := good.mail_servers.inside(prefix, now):
            return Objection(KNOWN_GOOD, f"{servers} of its networks are known mail servers")
        if (until := self.held.get(prefix)) is not None and now <= until:
            return Objection(HELD, "an administrator lifted a ban of it or of an address in it")
        return None

    def _example(self, prefix: Network) -> Network:
        """A spared network in or around the prefix; the prefix itself if it is reserved."""
        spared: Collection[Network] = (*self._spared, *self._guard.throws())
        return next((one for one in spared if prefix.covers(one) or one.covers(prefix)), prefix)
