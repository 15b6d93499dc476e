"""Whether bans are enforced, and why not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from sidecar.app.enforce.proof import CANARY, TOLD, Proof, without_canary
from sidecar.bans.table import BanTable
from sidecar.kernel.backend import Count
from sidecar.model import plural
from sidecar.network import Network

DRY_RUN = "dry run"
SUSPENDED = "suspended by flush; zmban resume"
NOT_VERIFIED = "not verified yet"


@dataclass(frozen=True, slots=True)
class EnforcementStatus:
    """`missing`: why bans are not enforced; empty if they are. `doubts`: other problems. `counts`: the
    entries of each family, without the canary."""

    missing: tuple[str, ...]
    doubts: tuple[str, ...] = ()
    counts: dict[int, Count] = field(default_factory=dict)

    @property
    def enforced(self) -> bool:
        """Whether the kernel refuses banned networks."""
        return not self.missing


def found(
    seen: Proof,
    absent: Collection[Network],
    wanted: int,
    table: BanTable,
    exempted: Collection[Network],
) -> EnforcementStatus:
    """The status from one check of the kernel, in which `absent` of `wanted` entries are missing."""
    counts = seen.counts if table.stands(CANARY) else without_canary(seen.counts, seen.listed)
    missing = tuple(_reasons(seen, absent, wanted, table))
    return EnforcementStatus(missing, tuple(seen.doubts(exempted)), dict(counts))


def _reasons(seen: Proof, absent: Collection[Network], wanted: int, table: BanTable) -> Iterator[str]:
    yield from seen.detached.values()
    if CANARY in absent:
        yield f"the canary route {CANARY} is missing"
    if absent:
        yield f"{len(absent)} of {wanted} {plural(wanted, 'route is', 'routes are')} missing"
    # A network that was unbanned since the check may be reachable.
    yield from [why for network, why in seen.let_in if network == CANARY or table.stands(network)][:TOLD]
