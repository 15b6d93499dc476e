"""What this host decided: noted as it happens, and sent when the others can be reached.

The database is the queue: bans, allowed networks and logins are there anyway, and what was lifted is a memo.
So nothing is lost while Redis is away, however long that is, and a Redis that comes back empty is filled
again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Set

from sidecar.app.cluster.kept_decisions import KeptDecisions
from sidecar.app.cluster.shared_time import SharedTime
from sidecar.app.protect.allow_list import AllowList
from sidecar.bans.register import BanRegister
from sidecar.cluster.claims import Claim, Claims, Key
from sidecar.cluster.decision_records import (
    ALLOW,
    BAN,
    DOMAIN,
    LIFTS,
    ORIGINS,
    Record,
    SharedAllowed,
    SharedBan,
    SharedLifting,
    SharedLogin,
    allowed_key,
    ban_key,
)
from sidecar.cluster.hybrid_clock import NEVER, Stamp
from sidecar.decide.known_good import KnownGood
from sidecar.model import Ban, Batch, Extended, Instant, Seconds, Unban
from sidecar.network import Network
from sidecar.store.changes import Allowed

# The events of what others decided.
SOURCE = "cluster"
# A decision so close to the time of its ban needs no memo.
_CLOSE: Seconds = 2.0
# Ends of bans that each host finds by itself.
_BY_ITSELF = ("expired", "replaced")


class OwnDecisions:
    """A subscriber of the bus. `due` are records to send; `wake` is set when there are any."""

    def __init__(
        self, host: str, time: SharedTime, claims: Claims, kept: KeptDecisions, register: BanRegister,
        allow_list: AllowList, known_good: KnownGood, shares: Callable[..., bool],
    ) -> None:  # fmt: skip
        """`shares`: whether this host shares `bans` (of a jail), `allowed`, `good` or `domains`."""
        self._host, self._time, self._claims, self._kept = host, time, claims, kept
        self._register, self._allow_list, self._known_good = register, allow_list, known_good
        self._shares = shares
        self._due: dict[Key, Record] = {}
        self._taken: dict[Key, Record] = {}
        self.wake = asyncio.Event()
        self.listening = True
        # The record of a refused domain; set by the owner of these.
        self.domain_record: Callable[[str, Claim], Record | None] = lambda *_: None
        self._remember()
        allow_list.watch(self._allowed)
        known_good.tell(self._login)

    def _remember(self) -> None:
        """Claim what an earlier run decided. Its stamps are those that were kept, else those of the times of
        the bans."""
        for key, stamp, _ in self._kept.lifted():
            self._claims.lift(key, stamp)
            self._time.stamps.see(stamp)
        for key, claim in self._kept.claims():
            if self._has(key):
                self._claims.claim(key, claim)
        for key in self._own_keys():
            told = self._told_by_time(key)
            if told is not None and self._claims.own(key, self._host) is None:
                # What stands was decided behind what lifted it.
                lifted = self._claims.lifted.get(key, NEVER)
                after = Stamp(lifted.ms, lifted.number + 1, self._host)
                stamp = told.stamp if told.stamp > lifted else after
                self._claims.claim(key, told._replace(stamp=stamp))

    def _own_keys(self) -> Iterator[Key]:
        for ban in self._register.table:
            yield ban_key(ban.network, ban.jail)
        for one in self._allow_list:
            yield allowed_key(one.network)

    def _has(self, key: Key) -> bool:
        """Whether the ban stands, or the network is allowed; of a domain its owner knows."""
        if key[0] == BAN:
            return self._register.table.of(key[1], key[2]) is not None
        if key[0] == DOMAIN:
            return True
        return self._allow_list.of(key[1]) is not None

    def _told_by_time(self, key: Key) -> Claim | None:
        """What the ban or the allowed network alone tells of this host's claim."""
        stamps = self._time.stamps
        if key[0] == BAN:
            ban = self._register.table.of(key[1], key[2])
            own = ban is not None and self._is_own(ban)
            return self._claim(stamps.of(self._shared(ban.at)), ban.until) if ban and own else None
        one = self._allow_list.of(key[1]) if key[0] == ALLOW else None
        own = one is not None and "@" not in one.by
        return self._claim(stamps.of(self._shared(one.at)), one.until) if one and own else None

    def keep(self, key: Key) -> None:
        """Keep this host's claim if a restart would not find it: of a ban that another host made or
        lengthened, or that was decided long behind its time."""
        claim = self._claims.own(key, self._host)
        told = self._told_by_time(key) if claim else None
        is_told = claim is not None and told is not None and _is_close(told, claim)
        self._kept.claim(key, None if is_told else claim)

    def _is_told(self, unban: Unban) -> bool:
        return unban.reason not in _BY_ITSELF and not unban.dry and self._shares("bans", unban.jail)

    def _is_own(self, ban: Ban) -> bool:
        return ban.origin != "cluster" and not (ban.dry or ban.adopted) and self._shares("bans", ban.jail)

    def _shared(self, at: Instant) -> Instant:
        return self._time.shared(at)

    def _claim(self, stamp: Stamp, until: Instant | None) -> Claim:
        return Claim(stamp, None if until is None else self._shared(until))

    def __len__(self) -> int:
        return len(self._due)

    def handle(self, batch: Batch) -> None:
        """Note the decisions of this host."""
        if batch.source == SOURCE:
            return
        for event in batch.events:
            if isinstance(event, Ban | Extended):
                # This host lengthens bans of others, too.
                ban = event.ban._replace(origin="log") if isinstance(event, Extended) else event
                if self._is_own(ban):
                    self._banned(event.ban if isinstance(event, Extended) else ban)
            elif isinstance(event, Unban) and self._is_told(event):
                self.lift(ban_key(event.network, event.jail), event.by)

    def _banned(self, ban: Ban) -> None:
        claim = self._claim(self._time.stamps.now(), ban.until)
        self._claims.claim(ban_key(ban.network, ban.jail), claim)
        self._decided(ban_key(ban.network, ban.jail))
        self._put(ban_key(ban.network, ban.jail), self._ban_record(ban, claim))

    def _decided(self, key: Key) -> None:
        self.keep(key)
        # After a restart all decisions are later, also those before it is connected again.
        self._time.save()

    def _ban_record(self, ban: Ban, claim: Claim) -> Record:
        by_hand = "manual" if ban.jail == "manual" else "log"
        origin = ban.origin if ban.origin in ORIGINS else by_hand
        return SharedBan(
            ban.network, ban.jail, claim.stamp, claim.until, self._shared(ban.at), origin, ban.reason,
            ban.failures, ban.by,
        ).record()  # fmt: skip

    def _allowed(self, network: Network, allowed: Allowed | None) -> None:
        if not self.listening or not self._shares("allowed"):
            return
        if allowed is None:
            self.lift(allowed_key(network), "")
        else:
            until, reason, by = allowed.until, allowed.reason, allowed.by
            self.decide(
                allowed_key(network), until,
                lambda claim: SharedAllowed(network, claim.stamp, claim.until, reason, by).record(),
            )  # fmt: skip

    def decide(self, key: Key, until: Instant | None, record: Callable[[Claim], Record]) -> None:
        """This host's claim stands until then, which replaces the others as it does here."""
        counts = self._claims.of(key)
        if counts is not None and _ends(counts.until) > _ends(self._claim(NEVER, until).until):
            self.lift(key, "")
        claim = self._claim(self._time.stamps.now(), until)
        self._claims.claim(key, claim)
        self._decided(key)
        self._put(key, record(claim))

    def lift(self, key: Key, by: str) -> None:
        """This host ends what stands."""
        stamp = self._time.stamps.now()
        self._claims.lift(key, stamp)
        self._kept.lift(key, stamp, by)
        self._decided(key)
        self._put(key, SharedLifting(key, stamp, by).record())

    def _login(self, network: Network, account: str, at: Instant) -> None:
        if self._shares("good"):
            self._put(("g", network, account), SharedLogin(network, account, self._shared(at)).record())

    def _put(self, key: Key, record: Record) -> None:
        # The last decision about a subject is behind all others. What ends others is told, too.
        due = _due_key(key, record)
        self._due.pop(due, None)
        self._due[due] = record
        self.wake.set()

    async def prune(self) -> None:
        """Forget what is over, and what was lifted long ago. A periodic job."""
        now = self._time.now()
        self._claims.prune(now)
        self._kept.prune(now)
        for key, _ in list(self._kept.claims()):
            if self._claims.own(key, self._host) is None:
                self._kept.claim(key, None)

    def take(self, most: int) -> list[Record]:
        """Some records to send, the oldest first. `failed` puts them back."""
        keys = list(self._due)[:most]
        found = [self._due.pop(key) for key in keys]
        self._taken = dict(zip(keys, found, strict=True))
        if not self._due:
            self.wake.clear()
        return found

    def failed(self) -> None:
        """What was taken could not be sent."""
        self._due = self._taken | self._due
        self._taken = {}
        self.wake.set()

    def owe(self, told: Set[tuple[Key, Stamp]]) -> None:
        """Send what this host decided and its stream lacks: `told` is what it has."""
        for key, record in self.everything(told):
            if _due_key(key, record) not in self._due:
                self._put(key, record)

    def everything(self, told: Set[tuple[Key, Stamp]] = frozenset()) -> Iterator[tuple[Key, Record]]:
        """All that this host decided and that still matters, except for logins and what was `told`."""
        for key in list(self._claims):
            claim = self._claims.own(key, self._host)
            if claim is None or (key, claim.stamp) in told:
                continue
            if record := self._record(key, claim):
                yield key, record
        for key, stamp, by in self._kept.lifted():
            if stamp.host == self._host and (key, stamp) not in told:
                yield key, SharedLifting(key, stamp, by).record()

    def logins(self) -> Iterator[Record]:
        """All known logins."""
        if self._shares("good"):
            for network, account, at in self._known_good.all():
                yield SharedLogin(network, account, self._shared(at)).record()

    def _record(self, key: Key, claim: Claim) -> Record | None:
        if key[0] == BAN:
            ban = self._register.table.of(key[1], key[2])
            return None if ban is None else self._ban_record(ban, claim)
        if key[0] == ALLOW and (one := self._allow_list.of(key[1])) is not None:
            return SharedAllowed(one.network, claim.stamp, claim.until, one.reason, one.by).record()
        return self.domain_record(key[1], claim) if key[0] == DOMAIN else None


def _due_key(key: Key, record: Record) -> Key:
    return ("lifted", *key) if record[0] in LIFTS.values() else key


def _ends(until: Instant | None) -> Instant:
    return float("inf") if until is None else until


def _is_close(one: Claim, other: Claim) -> bool:
    ends = one.until == other.until or abs(_ends(one.until) - _ends(other.until)) < 1.0
    return ends and abs(one.stamp.ms - other.stamp.ms) <= _CLOSE * 1000
