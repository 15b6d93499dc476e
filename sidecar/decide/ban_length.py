"""The length of a ban, with growing ban times, and the weight of a failure."""

from __future__ import annotations

from sidecar.bans.history import Earlier
from sidecar.fail2ban.increment import weight
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Instant


def ban_end(spec: JailSpec, at: Instant, earlier: Earlier, chance: float, *, stands: bool) -> Instant | None:
    """When a ban that starts at `at` ends; None means permanent. `chance` is a random number in [0, 1), see
    `Increment.seconds`. `stands`: the jail already has an active ban of the network, which `earlier`
    includes."""
    if spec.bantime is None:
        return None
    if spec.increment is None:
        return at + spec.bantime
    return at + spec.increment.seconds(spec.bantime, earlier.times - stands, chance)


def failure_weight(spec: JailSpec, earlier: Earlier, at: Instant) -> int:
    """The number of failures that one failure counts for: after an earlier ban, fewer are needed. Failures
    from before the last ban count once."""
    return weight(earlier.times, spec.maxretry) if earlier.times and at > earlier.at else 1
