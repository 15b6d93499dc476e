"""Applies the networks that other hosts allow, within the limits for what they ban."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sidecar.app.cluster.own_decisions import OwnDecisions
from sidecar.app.cluster.peers.peer import Peer
from sidecar.app.cluster.shared_time import SharedTime
from sidecar.app.protect.allow_list import AllowList
from sidecar.app.protect.protection import Protection
from sidecar.cluster.claims import Claim, Claims
from sidecar.cluster.decision_records import SharedAllowed, SharedLifting
from sidecar.network import Network
from sidecar.store.changes import Allowed


class PeerAllowed:
    """The caller applies the protection after a change. `shares` tells whether this host shares such
    networks."""

    def __init__(
        self, host: str, time: SharedTime, claims: Claims, own: OwnDecisions, allow_list: AllowList,
        protection: Protection, shares: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._host, self._time, self._claims, self._own = host, time, claims, own
        self._allow_list, self._protection, self._shares = allow_list, protection, shares
        # The peer that each network counts for.
        self._opened: dict[Network, Peer] = {}

    async def prune(self) -> None:
        """Give back the quota of networks that are no longer allowed. A periodic job."""
        standing = {one.network for one in self._allow_list}
        for network in self._opened.keys() - standing:
            self._opened.pop(network).quota.release(network)

    def allow(self, peer: Peer, one: SharedAllowed, *, at_once: bool) -> bool:
        """Allow what a peer allows; not what is wider than the widest ban, which would open the door."""
        if not self._shares() or not peer.is_credible(one.stamp, self._time):
            return False
        if one.network.length < self._protection.guard.widest[one.network.version]:
            peer.refuse("too-wide")
            return False
        if peer.name != self._host and peer.quota.is_full_with(len(peer.waiting)):
            peer.refuse("quota")
            return False
        if not self._claims.claim(one.key, Claim(one.stamp, one.until)):
            return False
        if self._claims.of(one.key) != Claim(one.stamp, one.until):
            # Another one lasts longer.
            return False
        peer.waiting.pop(one.key, None)
        return self.open(peer, one, at_once=at_once)

    def open(self, peer: Peer, one: SharedAllowed, *, at_once: bool) -> bool:
        """Allow a network whose claim counts, if the quota of its peer has room."""
        if peer.name != self._host and one.network not in self._opened:
            if not peer.quota.admit(one.network, at_once=at_once):
                peer.wait(one)
                return False
            self._opened[one.network] = peer
        until = self._time.local_end(one.until)
        # The time of the decision: a restart must not make it a later one.
        at = self._time.local(one.stamp.ms / 1000)
        by = one.by if peer.name == self._host else f"{one.by}@{peer.name}"
        self._quietly(lambda: self._allow_list.allow(Allowed(one.network, at, until, one.reason, by)))
        return True

    def end(self, one: SharedLifting, rest: Claim | None) -> None:
        """A network is no longer allowed, or (`rest`) until another end."""
        known = self._allow_list.of(one.network)
        if rest is None:
            self._quietly(lambda: self._allow_list.end(one.network))
        elif known is not None:
            until = self._time.local_end(rest.until)
            self._quietly(lambda: self._allow_list.allow(replace(known, until=until)))

    def _quietly(self, change: Callable[[], object]) -> None:
        """Change the allow list without telling it as a decision of this host."""
        self._own.listening = False
        try:
            change()
        finally:
            self._own.listening = True
