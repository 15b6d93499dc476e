"""Applies what other hosts decided, as far as this host's own guards allow it."""

from __future__ import annotations

import time
from collections.abc import Callable

from sidecar.app.background import BackgroundTasks
from sidecar.app.bus import Bus
from sidecar.app.cluster.kept_decisions import KeptDecisions
from sidecar.app.cluster.own_decisions import SOURCE, OwnDecisions
from sidecar.app.cluster.peers.peer import Peer
from sidecar.app.cluster.peers.peer_allowed import PeerAllowed
from sidecar.app.cluster.peers.shared_domains import SharedDomains
from sidecar.app.cluster.shared_time import SharedTime
from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.protect.protection import Protection
from sidecar.cluster import decision_records as records
from sidecar.cluster.batches import SignedBatch
from sidecar.cluster.claims import Claim, Claims, Key
from sidecar.cluster.decision_records import (
    ALLOW,
    BAN,
    DOMAIN,
    SharedAllowed,
    SharedBan,
    SharedDomain,
    SharedLifting,
    SharedLogin,
)
from sidecar.cluster.hybrid_clock import NEVER, Stamp
from sidecar.decide.engine import DecisionEngine
from sidecar.model import Ban, Batch, Event, Instant, Refused, Unban
from sidecar.network import Ranges
from sidecar.store.changes import Forgotten, Login

# The word of `[cluster] share` for each kind of claim.
_SHARES = {BAN: "bans", ALLOW: "allowed", DOMAIN: "domains"}
# Events of earlier decisions that are published together; refused bans that are remembered.
_MANY, _MOST_REFUSED = 20_000, 10_000


class PeerDecisions:
    """Applies batches. `is_dry` tells whether bans of a jail are only recorded here."""

    def __init__(
        self, host: str, time: SharedTime, claims: Claims, own: OwnDecisions, kept: KeptDecisions,
        engine: DecisionEngine, bus: Bus, allowing: PeerAllowed, domains: SharedDomains,
        protection: Protection, enforcer: Enforcer, commit_queue: CommitQueue, background: BackgroundTasks,
        shares: Callable[..., bool], is_dry: Callable[[str], bool],
    ) -> None:  # fmt: skip
        self._host, self._time, self._claims, self._own, self._kept = host, time, claims, own, kept
        self._engine, self._register, self._bus = engine, engine.register, bus
        self._allowing, self._domains = allowing, domains
        self._protection, self._enforcer = protection, enforcer
        self._commit_queue, self._background = commit_queue, background
        self._shares, self._is_dry = shares, is_dry
        self._matters = Ranges(())
        # Published together: so many routes are written in bulk.
        self._earlier: list[Event] = []
        # The peer that each ban counts for.
        self._made: dict[Key, Peer] = {}
        # What a guard refused, to be made when it no longer does; and the guard that refused it.
        self._refusals: dict[tuple[Key, Stamp], tuple[Peer, SharedBan]] = {}
        self._guard = protection.guard

    def handle(self, batch: Batch) -> None:
        """Give back the quota of bans that ended. A subscriber of the bus."""
        for unban in batch.of(Unban):
            if (peer := self._made.pop(_key(unban), None)) is not None:
                peer.quota.release(unban.network)

    def take(self, peer: Peer, batch: SignedBatch, *, at_once: bool) -> None:
        """Apply a batch. `at_once`: it was read from what the peer decided earlier."""
        events: list[Event] = []
        allowed = False
        self._matters = self._all_guarded()
        for record in batch.records:
            try:
                one = records.read(record, batch.host)
            except (ValueError, TypeError, KeyError):
                peer.refuse("malformed")
                continue
            if isinstance(one, SharedBan):
                events += self._ban(peer, one, at_once=at_once)
            elif isinstance(one, SharedLogin):
                self._login(peer, one)
            elif isinstance(one, SharedLifting):
                allowed |= one.key[0] == ALLOW
                events += self._lift(peer, one, at_once=at_once)
            elif isinstance(one, SharedAllowed):
                allowed |= self._allowing.allow(peer, one, at_once=at_once)
            elif isinstance(one, SharedDomain):
                self._domains.refuse(peer, one, at_once=at_once)
            if one is not None and not isinstance(one, SharedLogin):
                self._own.keep(one.key)
        self._time.save()
        if at_once:
            # Wanted from now on: a comparison with the kernel must not take them for removed.
            self._enforcer.mark_due(event.network for event in events if isinstance(event, Ban))
            self._earlier += events
            if len(self._earlier) >= _MANY:
                self.settle()
        else:
            self._bus.publish(events, source=SOURCE, live=True, read_at=time.time())
        if allowed:
            self._allowed()

    def _allowed(self) -> None:
        self._protection.apply()
        self._background.spawn(self._enforcer.reconcile())

    def settle(self) -> None:
        """Publish what was read at once. Those bans were counted and logged when they were made."""
        events, self._earlier = self._earlier, []
        self._bus.publish(events, source=SOURCE, restored=True)

    def _ban(self, peer: Peer, one: SharedBan, *, at_once: bool) -> list[Event]:
        if not self._shares("bans", one.jail):
            return []
        if not peer.is_credible(one.stamp, self._time):
            return []
        if peer.name != self._host and peer.quota.is_full_with(len(peer.waiting)):
            # Not even remembered: a peer must not fill this host's memory.
            peer.refuse("quota")
            return []
        standing = self._register.table.of(one.network, one.jail)
        if standing is None and (refused := self._refused(peer, one)):
            return refused
        key = one.key
        if not self._claims.claim(key, Claim(one.stamp, one.until)):
            return []
        if peer.waiting:
            peer.waiting.pop(key, None)
        return self._stand(peer, one, standing, at_once=at_once)

    def _made_later(self, peer: Peer, one: SharedBan) -> list[Event]:
        """A ban that waited, unless a guard refuses it by now."""
        standing = self._register.table.of(one.network, one.jail)
        if standing is None and (refused := self._refused(peer, one)):
            return refused
        return self._stand(peer, one, standing, at_once=False)

    def _stand(self, peer: Peer, one: SharedBan, standing: Ban | None, *, at_once: bool) -> list[Event]:
        """Make a ban of a peer, or lengthen one that stands."""
        now = time.time()
        until = self._time.local_end(one.until)
        if until is not None and until <= now:
            return []
        if standing is None:
            if peer.name != self._host and not self._admit(peer, one, at_once=at_once):
                return []
        elif standing.origin == "cluster" and one.key not in self._made:
            # From before a restart.
            peer.quota.count(one.network)
            self._made[one.key] = peer
        return list(self._register.ban(self._ban_of(peer, one, until), now))

    def _admit(self, peer: Peer, one: SharedBan, *, at_once: bool) -> bool:
        if peer.quota.admit(one.network, at_once=at_once):
            self._made[one.key] = peer
            return True
        peer.wait(one)
        return False

    def _ban_of(self, peer: Peer, one: SharedBan, until: Instant | None) -> Ban:
        at, own = self._time.local(one.at), peer.name == self._host
        by = one.by if own else f"{one.by}@{peer.name}" if one.by else peer.name
        origin = one.origin if own else "cluster"
        dry = self._is_dry(one.jail)
        return Ban(one.network, one.jail, at, until, origin, one.reason, one.failures, (), 1, dry, by)  # type: ignore[arg-type]

    def _refused(self, peer: Peer, one: SharedBan) -> list[Event]:
        """Tell of a new ban that this host does not make. It is not remembered either."""
        if not (refusal := self._refusal(one, time.time())):
            return []
        peer.refuse(refusal)
        if len(self._refusals) < _MOST_REFUSED:
            self._refusals[one.key, one.stamp] = peer, one
        line, at = f"a ban of {peer.name}: {one.reason}", self._time.local(one.at)
        return [Refused(str(one.network), one.jail, at, refusal, line=line)]

    def _refusal(self, one: SharedBan, now: Instant) -> str | None:
        """Why this host does not make a ban of a peer. Its own guards hold against all of them."""
        guarded = not one.network.single or self._matters.touch(one.network)
        if guarded and (refusal := self._protection.refuse(one.network, one.jail)):
            return refusal
        unit = one.network.unit() if one.network.single else one.network
        if one.origin != "manual" and self._engine.known_good.clients.is_known(unit, now):
            return "known-good"
        return None

    def _all_guarded(self) -> Ranges:
        """What any guard may refuse: nearly all attackers are in none of it, which takes one lookup."""
        ignored = (network for jail in self._engine.jails.values() for network in jail.ignored)
        return self._protection.guard.matters([*ignored, *self._enforcer.exempted])

    def look_again(self) -> None:
        """Make the bans that were refused, if what is protected has changed and no longer covers them."""
        if self._guard is self._protection.guard:
            return
        self._guard, refusals, self._refusals = self._protection.guard, self._refusals, {}
        self._matters = self._all_guarded()
        events: list[Event] = []
        for key, (peer, one) in refusals.items():
            if self._refusal(one, time.time()):
                self._refusals[key] = peer, one
            else:
                events += self._ban(peer, one, at_once=True)
        self._bus.publish(events, source=SOURCE, live=True, read_at=time.time())

    def drain(self, peer: Peer) -> None:
        """Make the bans of a peer that wait, as far as its quota admits now."""
        events: list[Event] = []
        self._matters, allowed = self._all_guarded(), False
        for key in list(peer.waiting):
            one = peer.waiting.pop(key)
            if isinstance(one, SharedLifting):
                events += self._lift(peer, one, at_once=False)
            elif isinstance(one, SharedDomain):
                self._domains.refuse(peer, one, at_once=False)
            elif (claim := self._claims.of(key)) is None or claim.stamp != one.stamp:
                continue
            elif isinstance(one, SharedBan):
                events += self._made_later(peer, one)
            else:
                self._allowing.open(peer, one, at_once=False)
            allowed |= key[0] == ALLOW
            if key in peer.waiting:
                break
        self._bus.publish(events, source=SOURCE, live=True, read_at=time.time())
        if allowed:
            self._allowed()

    def _lift(self, peer: Peer, one: SharedLifting, *, at_once: bool) -> list[Event]:
        jail = one.key[2] if one.key[0] == BAN else ""
        if not self._shares(_SHARES[one.key[0]], jail) or not peer.is_credible(one.stamp, self._time):
            return []
        if one.stamp <= self._claims.lifted.get(one.key, NEVER):
            if one.key[0] == DOMAIN:
                # This host may have ended before it wrote that into its map.
                self._domains.lifted(peer, one.key[1])
            return []
        if peer.name != self._host:
            if peer.quota.is_full_with(peer.lifted + len(peer.waiting)):
                peer.refuse("quota")
                return []
            if not at_once and not peer.quota.take():
                peer.wait(one)
                return []
            peer.lifted += 1
        self._kept.lift(one.key, one.stamp, one.by)
        self._claims.lift(one.key, one.stamp)
        peer.waiting.pop(one.key, None)
        return self._end(peer, one, jail)

    def _end(self, peer: Peer, one: SharedLifting, jail: str) -> list[Event]:
        rest = self._claims.of(one.key)
        if one.key[0] == ALLOW:
            self._allowing.end(one, rest)
            return []
        if one.key[0] == DOMAIN:
            self._domains.lifted(peer, one.key[1])
            return []
        if rest is not None:
            return list(self._register.end_at(one.network, jail, self._time.local_end(rest.until)))
        by = f"{one.by}@{peer.name}" if one.by else peer.name
        self._commit_queue.add([Forgotten(meant, jail) for meant in self._engine.forget(one.network, jail)])
        lifted = self._register.lift(one.network, time.time(), "manual", jail)
        return [unban._replace(by=by) for unban in lifted]

    def _login(self, peer: Peer, one: SharedLogin) -> None:
        if not self._shares("good") or peer.name == self._host:
            return
        at = min(self._time.local(one.at), time.time())
        if self._protection.guard.refuse(one.network):
            return
        if self._engine.known_good.learn(one.network, one.account, at):
            self._commit_queue.add([Login(one.network, one.account, at)])


def _key(event: Unban) -> Key:
    return records.ban_key(event.network, event.jail)
