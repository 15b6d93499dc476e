"""Keeps the map of refused sender domains and the decisions of the group alike.

The map is written by `zmban domain` without the service, so what changed in it is what this host decided.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from sidecar.app.cluster.own_decisions import OwnDecisions
from sidecar.app.cluster.peers.peer import Peer
from sidecar.app.cluster.shared_time import SharedTime
from sidecar.app.persist.memos import Memos
from sidecar.app.review.refused_domains import RefusedDomains
from sidecar.cluster.claims import Claim, Claims
from sidecar.cluster.decision_records import DOMAIN, Record, SharedDomain, domain_key
from sidecar.domains.refusal import DomainRefusal
from sidecar.model import Instant, Seconds, ZmbanError

_log = logging.getLogger("zmban.cluster")
# The kind of memo for the domains that the map had when it was last looked at, with their ends.
_SEEN = "cluster-domains"
# The maps count whole seconds, and the offset of the clocks is measured anew with each connection.
_CLOSE: Seconds = 2.0
# Domains that one peer may refuse: each stands in a map that every mail server process reads.
_MOST = 10_000
_FOREVER = "for ever"


class SharedDomains:
    """`look` is called every few seconds. `shares` tells whether this host shares them."""

    def __init__(
        self, host: str, time: SharedTime, claims: Claims, own: OwnDecisions, memos: Memos,
        domains: RefusedDomains, shares: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._host, self._time, self._claims, self._own = host, time, claims, own
        self._memos, self._domains, self._shares = memos, domains, shares
        self._first, self._absent = True, False
        # What is known of each domain, whoever refuses it; `until` is that of the claim that counts.
        self._facts: dict[str, DomainRefusal] = {}
        # Domains whose rule may have to change, and who decided that (None: this host).
        self._pending: dict[str, Peer | None] = {}
        self._of_peers: dict[str, set[str]] = {}
        own.domain_record = self._record

    # ---- what others decided ----

    def refuse(self, peer: Peer, one: SharedDomain, *, at_once: bool) -> None:
        """Refuse what a peer refuses, as far as its quota and the maps allow."""
        if not self._shares() or not peer.is_credible(one.stamp, self._time):
            return
        if peer.name != self._host:
            its = self._of_peers.setdefault(peer.name, set())
            if one.domain not in its and len(its) >= _MOST:
                peer.refuse("quota")
                return
            if not at_once and not peer.quota.take():
                peer.wait(one)
                return
            its.add(one.domain)
        self._claims.claim(one.key, claim := Claim(one.stamp, one.until))
        if self._claims.of(one.key) == claim:
            by = one.by if peer.name == self._host else f"{one.by}@{peer.name}"
            since = float(int(self._time.local(one.since)))
            self._facts[one.domain] = DomainRefusal(one.domain, one.reason, since, None, by)
        self._pending[one.domain] = peer

    def lifted(self, peer: Peer, domain: str) -> None:
        """A peer accepts mail from this domain again."""
        self._pending[domain] = peer

    async def prune(self) -> None:
        """Forget the domains that nobody refuses any more. A periodic job."""
        over = {domain for domain in self._facts if not self._claims.standing(domain_key(domain))}
        for domain in over - self._pending.keys():
            del self._facts[domain]
        for its in self._of_peers.values():
            its -= over

    # ---- what this host decided ----

    async def look(self) -> None:
        """Tell of what was changed in the map, then write into it what the group decided. A periodic job."""
        if not self._shares():
            return
        try:
            present = await self._domains.by_name()
            if present is None:
                self._absent = True
                return
            if self._is_lost(present):
                # The map was gone, which is nobody's decision: it is filled again.
                self._forget()
            self._notice(present)
            await self._settle(present)
        except ZmbanError:
            # The owner of the maps tells of it.
            return

    def _is_lost(self, present: Mapping[str, DomainRefusal]) -> bool:
        first, absent, self._first, self._absent = self._first, self._absent, False, False
        return self._domains.take_made_anew() or absent or (first and not present)

    def _forget(self) -> None:
        for domain in self._memos.of(_SEEN):
            self._memos.drop(_SEEN, domain)
        self._pending |= {key[1]: None for key in self._claims if key[0] == DOMAIN}

    def _notice(self, present: Mapping[str, DomainRefusal]) -> None:
        seen = {domain: _read(memo.value) for domain, memo in self._memos.of(_SEEN).items()}
        for domain, one in present.items():
            if domain not in self._pending:
                self._facts[domain] = one
            if domain in seen and _close(seen[domain], one.until):
                continue
            self._saw(domain, one)
            # What a peer decided is told by that peer.
            if "@" not in one.by:
                self._own.decide(domain_key(domain), one.until, partial(self._told, one))
        for domain in seen.keys() - present.keys():
            self._saw(domain, None)
            ended = seen[domain] is not None and _end(seen[domain]) <= time.time()
            if not ended and not self._domains.protects(domain):
                self._own.lift(domain_key(domain), "")

    def _saw(self, domain: str, one: DomainRefusal | None) -> None:
        if one is None:
            self._memos.drop(_SEEN, domain)
        else:
            self._memos.put(_SEEN, domain, _FOREVER if one.until is None else str(one.until))

    def _record(self, domain: str, claim: Claim) -> Record | None:
        one = self._facts.get(domain)
        return self._told(one, claim) if one else None

    def _told(self, one: DomainRefusal, claim: Claim) -> Record:
        since = self._time.shared(one.since)
        return SharedDomain(one.domain, claim.stamp, claim.until, since, one.reason, one.by).record()

    # ---- the map ----

    async def _settle(self, present: Mapping[str, DomainRefusal]) -> None:
        pending, self._pending = self._pending, {}
        wanted = {domain: self._wanted(domain, present.get(domain)) for domain in pending}
        wanted = {domain: one for domain, one in wanted.items() if one != present.get(domain)}
        if not wanted:
            return
        try:
            after, rejected = await self._domains.settle(wanted, present)
        except ZmbanError:
            self._pending = pending | self._pending
            raise
        for domain, one in wanted.items():
            if domain in rejected:
                self._reject(domain, rejected[domain], pending[domain])
            elif after.get(domain) != one:
                # Somebody changed it meanwhile.
                self._pending.setdefault(domain, pending[domain])
            else:
                self._saw(domain, one)

    def _wanted(self, domain: str, present: DomainRefusal | None) -> DomainRefusal | None:
        claim, known = self._claims.of(domain_key(domain)), self._facts.get(domain) or present
        if claim is None:
            return None
        if known is None:
            return present
        until = self._time.local_end(claim.until)
        if until is not None and until <= time.time():
            return present
        if present is not None and _close(until, present.until):
            return present
        return replace(known, until=None if until is None else float(math.ceil(until)))

    def _reject(self, domain: str, why: str, peer: Peer | None) -> None:
        if peer is not None:
            peer.refuse("domain")
            _log.warning("cluster: %s refuses mail from %s; not here: it %s", peer.name, domain, why)


def _read(text: str | None) -> Instant | None:
    return None if text in (None, _FOREVER) else float(text)


def _end(until: Instant | None) -> Instant:
    return math.inf if until is None else until


def _close(one: Instant | None, other: Instant | None) -> bool:
    return one == other or abs(_end(one) - _end(other)) < _CLOSE
