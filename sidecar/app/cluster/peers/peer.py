"""The other hosts of the group, as this host knows them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sidecar.app.cluster.shared_time import SharedTime
from sidecar.cluster.batches import BatchError, BatchFormat, SignedBatch
from sidecar.cluster.claims import Key
from sidecar.cluster.decision_records import SharedAllowed, SharedBan, SharedDomain, SharedLifting
from sidecar.cluster.hybrid_clock import Stamp
from sidecar.cluster.peer_quota import PeerQuota
from sidecar.model import Instant, Seconds, counted
from sidecar.settings import ClusterSettings

# What can wait for a quota.
Decision = SharedBan | SharedAllowed | SharedDomain | SharedLifting
_log = logging.getLogger("zmban.cluster")
# A peer that was not heard of for so long is away.
AWAY: Seconds = 120.0


@dataclass(slots=True)
class Peer:
    """`last` is its last batch that was applied, `seen` when it was last heard of, `lag` how old its last
    batch was when it was applied. `waiting` are decisions beyond its quota, `lifted` the number of those that
    lifted something."""

    name: str
    quota: PeerQuota
    tell_refused: Callable[[str], None] = lambda _: None
    last: Stamp | None = None
    seen: Instant = 0.0
    sent: Instant = 0.0
    lag: Seconds = 0.0
    version: str = ""
    refused: Counter[str] = field(default_factory=Counter)
    waiting: dict[Key, Decision] = field(default_factory=dict)
    lifted: int = 0

    def refuse(self, reason: str) -> None:
        """Count something of this peer that was not believed or not done."""
        self.refused[reason] += 1
        self.tell_refused(reason)

    def wait(self, one: Decision) -> None:
        """Keep a decision beyond the quota for later."""
        if not self.waiting:
            _log.warning("%s decides more than its quota admits; what is beyond waits", self.name)
        self.waiting[one.key] = one

    def is_credible(self, stamp: Stamp, time: SharedTime) -> bool:
        """Whether a stamp is not too far ahead; later stamps of this host follow it then."""
        if time.stamps.see(stamp):
            return True
        self.refuse("clock")
        return False

    def is_here(self, now: Instant) -> bool:
        """Whether it was heard of lately."""
        return now - self.seen < AWAY

    def record(self, now: Instant) -> dict[str, Any]:
        """For `zmban cluster peers`."""
        return {
            "host": self.name, "here": self.is_here(now), "seen": self.seen or None, "version": self.version,
            "lag": round(self.lag, 3), "bans": self.quota.bans, "addresses": self.quota.addresses,
            "waiting": len(self.waiting), "full": self.quota.full, "refused": dict(self.refused),
        }  # fmt: skip


class Peers:
    """The single owner of the peers. `refused` counts batches of nobody that is known, by reason: anybody who
    may write to Redis can have made them. `tell_refused` is told each reason."""

    def __init__(self, host: str, tell_refused: Callable[[str], None]) -> None:
        self._host, self._tell_refused = host, tell_refused
        self._peers: dict[str, Peer] = {}
        self._knows: frozenset[str] | None = frozenset()
        self._limits = (1, 1, 1)
        self.refused: Counter[str] = Counter()

    def renew(self, settings: ClusterSettings, knows: frozenset[str] | None) -> None:
        """Set the quota of each peer, and the hosts that are trusted (None: all that have the secret). What
        waits of others is dropped."""
        self._knows = knows
        self._peers = {name: peer for name, peer in self._peers.items() if knows is None or name in knows}
        self._limits = settings.bans_per_minute, settings.most_bans, settings.most_addresses
        for peer in self:
            peer.quota.limit(*self._limits)

    @property
    def trusted(self) -> frozenset[str]:
        """The hosts that are trusted by name."""
        return (self._knows or frozenset()) - {self._host}

    def itself(self) -> Peer:
        """This host, whose own stream is read as that of a peer."""
        return Peer(self._host, PeerQuota(*self._limits))

    def get(self, name: str) -> Peer | None:
        """A host that is trusted; None for another one."""
        if name == self._host or (self._knows is not None and name not in self._knows):
            return None
        if name not in self._peers:
            self._peers[name] = Peer(name, PeerQuota(*self._limits), self._tell_refused)
        return self._peers[name]

    def believed(self, form: BatchFormat, raw: bytes) -> SignedBatch | None:
        """The batch, if a host that is trusted signed it; else it is counted."""
        try:
            return form.read(raw)
        except BatchError as error:
            signed = error.reason not in ("signature", "unknown-host")
            if signed and (peer := self.get(error.host)) is not None:
                peer.refuse(error.reason)
            else:
                self.refused[error.reason] += 1
                self._tell_refused(error.reason)
            return None

    def admit(self, hosts: list[str]) -> bool:
        """Whether a ban may rest on what these hosts counted."""
        return all(peer.quota.take() for host in hosts if (peer := self.get(host)) is not None)

    def doubts(self) -> Iterator[str]:
        """Who exceeds the quota, for `status`."""
        for peer in self:
            if peer.waiting or peer.quota.full:
                waits = f"{counted(len(peer.waiting), 'decision')} of it wait"
                beyond = waits if peer.waiting else "the rest is refused"
                yield f"cluster: {peer.name} decides more than its quota admits; {beyond}"

    def __iter__(self) -> Iterator[Peer]:
        return iter([self._peers[name] for name in sorted(self._peers)])

    def __len__(self) -> int:
        return len(self._peers)
