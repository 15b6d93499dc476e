"""What zmban decided in a day: counts by jail, and the events that a person should look at."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any

from sidecar.model import Ban, Batch, Event, Failure, Match, Refused, Unban
from sidecar.network import Network
from sidecar.records import event_record
from sidecar.review.mail.bounded_counts import BoundedCounts
from sidecar.review.mail.day_counts import SEPARATOR

# Entries kept of each kind.
_MOST_BANS, _MOST_REFUSED, _MOST_GOOD, _MOST_ACCOUNTS, _MOST_NETWORKS, _MOST_UNITS = (
    200,
    20,
    200,
    1000,
    100,
    5000,
)
_MOST_SHOWN = 50
_COUNTS = ("matches", "failures", "bans", "dry_bans", "unbans")
# An account or a prefix with so many attacking addresses is attacked together.
MANY = 5


class DecisionNotes:
    """The notes of one day. `good` says how many accounts logged in from a network lately."""

    def __init__(self, good: Callable[[Network], int]) -> None:
        self._good = good
        self.jails: dict[str, dict[str, Any]] = {}
        self._bans: deque[Ban | dict[str, Any]] = deque(maxlen=2 * _MOST_BANS)
        self._framed: list[dict[str, Any]] = []
        self._good_users: dict[str, dict[str, Any]] = {}
        # Account: number of failures, and the networks they came from.
        self._accounts: dict[str, tuple[int, dict[str, None]]] = {}
        self._units = BoundedCounts(_MOST_UNITS)
        self.number = 0

    def take(self, batch: Batch) -> None:
        """Note the events of one batch."""
        self.number += len(batch.events)
        self._count("matches", batch.of(Match))
        if failures := batch.of(Failure):
            self._count("failures", failures)
            for failure, account in _with_accounts(batch.events):
                self._failure(failure, account)
        for ban in batch.of(Ban):
            self._ban(ban)
        self._count("unbans", batch.of(Unban))
        for refused in batch.of(Refused):
            self._refused(refused)

    def _count(self, what: str, events: Iterable[Match | Failure | Unban]) -> None:
        for jail, number in Counter(map(attrgetter("jail"), events)).items():
            self._of(jail)[what] += number

    def _of(self, jail: str) -> dict[str, Any]:
        if jail not in self.jails:
            self.jails[jail] = {**dict.fromkeys(_COUNTS, 0), "refused": {}}
        return self.jails[jail]

    def _failure(self, failure: Failure, account: str) -> None:
        network = str(failure.network)
        self._units.add(f"{failure.jail}{SEPARATOR}{network}")
        if account:
            self._attack(account.casefold()[:200], network)
        if self._good(failure.network):
            self._note_good(failure.network, failure.jail)["failures"] += 1

    def _attack(self, account: str, network: str) -> None:
        number, networks = self._accounts.get(account, (0, {}))
        if len(networks) < _MOST_NETWORKS:
            networks[network] = None
        self._accounts[account] = (number + 1, networks)
        if len(self._accounts) > 2 * _MOST_ACCOUNTS:
            ranked = sorted(self._accounts, key=lambda one: -len(self._accounts[one][1]))
            self._accounts = {one: self._accounts[one] for one in ranked[:_MOST_ACCOUNTS]}

    def _note_good(self, network: Network, jail: str) -> dict[str, Any]:
        key = f"{jail}{SEPARATOR}{network}"
        if key not in self._good_users and len(self._good_users) >= _MOST_GOOD:
            return {"failures": 0, "banned": False}
        new = {"network": str(network), "jail": jail, "accounts": self._good(network)}
        return self._good_users.setdefault(key, {**new, "failures": 0, "banned": False})

    def _ban(self, ban: Ban) -> None:
        self._of(ban.jail)["dry_bans" if ban.dry else "bans"] += 1
        self._bans.append(ban)
        if self._good(ban.network):
            self._note_good(ban.network, ban.jail)["banned"] = not ban.dry

    def _refused(self, refused: Refused) -> None:
        reasons = self._of(refused.jail)["refused"]
        reasons[refused.reason] = reasons.get(refused.reason, 0) + 1
        if refused.reason == "framed" and len(self._framed) < _MOST_REFUSED:
            self._framed.append({"jail": refused.jail, "named": refused.host, "client": refused.client,
                                 "line": refused.line[:600]})  # fmt: skip

    def found(self, maxretry: Mapping[str, int]) -> dict[str, Any]:
        """For the report. `maxretry` of each jail decides what a near miss is: a network with at least one
        failure less in the day, without a ban, also if they were too far apart for a ban."""
        bans = list(map(_record, self._bans))
        banned = {f"{one['jail']}{SEPARATOR}{one['network']}" for one in bans}
        units = [(key.split(SEPARATOR), number) for key, number, _ in self._units.by_count(_MOST_UNITS)
                 if key not in banned]  # fmt: skip
        near = [
            {"jail": jail, "network": network, "failures": number, "maxretry": maxretry[jail]}
            for (jail, network), number in units
            if maxretry.get(jail, 0) >= 2 and number >= maxretry[jail] - 1
        ]
        attacked = sorted(self._accounts.items(), key=lambda one: (-len(one[1][1]), -one[1][0], one[0]))
        accounts = [
            {"account": account, "failures": number, "from": len(networks), "networks": list(networks)[:10],
             "distributed": len(networks) >= MANY}
            for account, (number, networks) in attacked[:_MOST_SHOWN]
        ]  # fmt: skip
        good = [dict(one) for one in self._good_users.values()]
        return {
            "jails": self.jails, "bans": bans[-_MOST_BANS:], "near_misses": near[:_MOST_SHOWN],
            "accounts": accounts, "good_users": good, "framed": self._framed,
        }  # fmt: skip

    def dumped(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "jails": self.jails, "bans": list(map(_record, self._bans))[-_MOST_BANS:], "framed": self._framed,
            "number": self.number, "good_users": self._good_users, "units": self._units.dumped(),
            "accounts": {key: [number, list(networks)] for key, (number, networks) in self._accounts.items()},
        }  # fmt: skip

    @classmethod
    def loaded(cls, read: Mapping[str, Any], good: Callable[[Network], int]) -> DecisionNotes:
        """The reverse of `dumped`. KeyError, TypeError or ValueError if it is damaged."""
        made = cls(good)
        made.jails, made._framed = dict(read["jails"]), list(read["framed"])
        made._bans.extend(read["bans"])
        made._good_users, made.number = dict(read["good_users"]), int(read["number"])
        made._units = BoundedCounts.loaded(read["units"], _MOST_UNITS)
        made._accounts = {key: (int(n), dict.fromkeys(some)) for key, (n, some) in read["accounts"].items()}
        return made


def _record(ban: Ban | dict[str, Any]) -> dict[str, Any]:
    """A ban for the report; one that was loaded is a record already."""
    if isinstance(ban, dict):
        return ban
    record = event_record(ban) | {"reason": ban.reason, "origin": ban.origin}
    record["evidence"] = [line[:600] for line in record["evidence"][-3:]]
    return record


def _with_accounts(events: Iterable[Event | Match]) -> Iterator[tuple[Failure, str]]:
    """Each failure with the account of the match that led to it, "" if that names none."""
    jail = account = ""
    for event in events:
        if type(event) is Match:
            jail, account = event.jail, event.facts.account if event.facts is not None else ""
        elif type(event) is Failure:
            yield event, account if event.jail == jail else ""
