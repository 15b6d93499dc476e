"""What this host decided: noted as it happens, and sent when the others can be reached.

The database is the queue: bans, allowed networks and logins are there anyway, and what was lifted is a memo.
So nothing is lost while Redis is away, however long that is, and a Redis that comes back empty is filled
again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Iterator

from sidecar.app.cluster.shared_time import SharedTime
from sidecar.app.persist.memos import Memos
from sidecar.app.protect.allow_list import AllowList
from sidecar.bans.register import BanRegister
from sidecar.cluster.claims import REMEMBERED, Claim, Claims, Key
from sidecar.cluster.decision_records import (
    ALLOW,
    BAN,
    Record,
    SharedAllowed,
    SharedBan,
    SharedLifting,
    SharedLogin,
    allowed_key,
    ban_key,
)
from sidecar.cluster.hybrid_clock import Stamp
from sidecar.decide.known_good import KnownGood
from sidecar.model import Ban, Batch, Extended, Instant, Unban
from sidecar.network import Network
from sidecar.store.changes import Allowed

# The kind of memo for what was lifted, and the events of what others decided.
LIFTED, SOURCE = "cluster-lifted", "cluster"
# Ends of bans that each host finds by itself.
_BY_ITSELF = ("expired", "replaced")


class OwnDecisions:
    """A subscriber of the bus. `due` are records to send; `wake` is set when there are any."""

    def __init__(
        self, host: str, time: SharedTime, claims: Claims, memos: Memos, register: BanRegister,
        allow_list: AllowList, known_good: KnownGood, shares: Callable[[str], bool],
    ) -> None:  # fmt: skip
        """`shares`: whether this host shares the bans of a jail; for "" whether it shares allowed networks,
        and for "good" logins."""
        self._host, self._time, self._claims, self._memos = host, time, claims, memos
        self._register, self._allow_list, self._known_good = register, allow_list, known_good
        self._shares = shares
        self._due: dict[Key, Record] = {}
        self._taken: dict[Key, Record] = {}
        self.wake = asyncio.Event()
        self.listening = True
        self._remember()
        allow_list.watch(self._allowed)
        known_good.tell(self._login)

    def _remember(self) -> None:
        """Claim what an earlier run decided. Its stamps are those of the times of the decisions, unless this
        host's stream has better ones."""
        for key, stamp, _ in self._lifted():
            self._claims.lift(key, stamp)
        stamps = self._time.stamps
        for ban in self._register.table:
            if self._is_own(ban):
                self._claims.claim(
                    ban_key(ban.network, ban.jail), self._claim(stamps.of(self._shared(ban.at)), ban.until)
                )
        for one in self._allow_list:
            if "@" not in one.by:
                self._claims.claim(
                    allowed_key(one.network), self._claim(stamps.of(self._shared(one.at)), one.until)
                )

    def _is_told(self, unban: Unban) -> bool:
        return unban.reason not in _BY_ITSELF and not unban.dry and self._shares(unban.jail)

    def _is_own(self, ban: Ban) -> bool:
        return ban.origin != "cluster" and not (ban.dry or ban.adopted) and self._shares(ban.jail)

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
                ban = event.ban if isinstance(event, Extended) else event
                if self._is_own(ban):
                    self._banned(ban)
            elif isinstance(event, Unban) and self._is_told(event):
                self._lift(ban_key(event.network, event.jail), event.by)

    def _banned(self, ban: Ban) -> None:
        claim = self._claim(self._time.stamps.now(), ban.until)
        self._claims.claim(ban_key(ban.network, ban.jail), claim)
        self._put(ban_key(ban.network, ban.jail), self._ban_record(ban, claim))

    def _ban_record(self, ban: Ban, claim: Claim) -> Record:
        return SharedBan(
            ban.network, ban.jail, claim.stamp, claim.until, self._shared(ban.at), ban.origin, ban.reason,
            ban.failures, ban.by,
        ).record()  # fmt: skip

    def _allowed(self, network: Network, allowed: Allowed | None) -> None:
        if not self.listening or not self._shares(""):
            return
        key = allowed_key(network)
        if allowed is None:
            self._lift(key, "")
            return
        claim = self._claim(self._time.stamps.now(), allowed.until)
        self._claims.claim(key, claim)
        self._put(key, SharedAllowed(network, claim.stamp, claim.until, allowed.reason, allowed.by).record())

    def _lift(self, key: Key, by: str) -> None:
        stamp = self._time.stamps.now()
        self._claims.lift(key, stamp)
        self.keep_lifted(key, stamp, by)
        self._put(key, SharedLifting(key, stamp, by).record())

    def _login(self, network: Network, account: str, at: Instant) -> None:
        if self._shares("good"):
            self._put(("g", network, account), SharedLogin(network, account, self._shared(at)).record())

    def _put(self, key: Key, record: Record) -> None:
        # The last decision about a subject is behind all others.
        self._due.pop(key, None)
        self._due[key] = record
        self.wake.set()

    def keep_lifted(self, key: Key, stamp: Stamp, by: str) -> None:
        """Remember that something was lifted, by whomever: an older ban must not come back."""
        name = json.dumps([key[0], str(key[1]), *key[2:]])
        self._memos.put(LIFTED, name, json.dumps([stamp.entry, stamp.host, by]))

    async def prune(self) -> None:
        """Forget what is over, and what was lifted long ago. A periodic job."""
        now = self._time.now()
        self._claims.prune(now)
        for key, memo in self._memos.of(LIFTED).items():
            if memo.at < now - REMEMBERED:
                self._memos.drop(LIFTED, key)

    def _lifted(self) -> Iterator[tuple[Key, Stamp, str]]:
        for name, memo in self._memos.of(LIFTED).items():
            kind, network, *jail = json.loads(name)
            entry, host, by = json.loads(memo.value or "[]")
            yield (kind, Network.parse(network), *jail), Stamp.of_entry(entry, host), by

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

    def owe(self, told: Collection[tuple[Key, Stamp]]) -> None:
        """Send what this host decided and its stream lacks: `told` is what it has."""
        known = set(told)
        for key, record in self.everything():
            if (key, Stamp.of_entry(_entry(record), self._host)) not in known and key not in self._due:
                self._put(key, record)

    def everything(self) -> Iterator[tuple[Key, Record]]:
        """All that this host decided and that still matters, except for logins."""
        for key in list(self._claims):
            claim = self._claims.own(key, self._host)
            if claim is not None and (record := self._record(key, claim)):
                yield key, record
        for key, stamp, by in self._lifted():
            if stamp.host == self._host:
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
        if key[0] == ALLOW:
            for one in self._allow_list.around(key[1]):
                if one.network == key[1]:
                    return SharedAllowed(one.network, claim.stamp, claim.until, one.reason, one.by).record()
        return None


def _entry(record: Record) -> str:
    entry: str = record[{BAN: 3, "u": 3}.get(record[0], 2)]
    return entry
