"""Takes over bans that somebody else decided: into the running service, or into its database."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StrictBool

from sidecar.app.background import run_uncancellable
from sidecar.app.commands.arguments import Name, Note, Time
from sidecar.app.daemon import claimed
from sidecar.app.service import Service
from sidecar.bans.guard import Guard
from sidecar.bans.history import History
from sidecar.bans.table import BanTable
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Ban, Extended, Instant
from sidecar.network import Network, PrefixSet
from sidecar.serve.control import RefusedError
from sidecar.store.database import Change, Database, Ended, Key, Past
from sidecar.store.imports.entry import LIST

# Why a ban that had not reached its end was ended here: by a person; by what a person wrote down, in earlier
# versions.
_LIFTED = {"manual", "allowed", "protected"}
_Count = Annotated[int, Field(ge=0, lt=2**31)]
Result = Literal["banned", "extended", "history", "unchanged", "lifted", "refused"]


class Record(BaseModel, frozen=True, extra="forbid"):
    """One ban as the control socket carries it, see `Entry.record`."""

    network: str
    jail: Name
    at: Time
    until: Time | None
    reason: Note
    failures: _Count
    count: _Count
    evidence: tuple[str, ...]
    current: StrictBool

    def ban(self) -> Ban:
        """The ban that it tells of. ValueError for a network that is none."""
        return Ban(
            Network.parse(self.network), self.jail, self.at, self.until, "import", self.reason,
            self.failures, self.evidence, self.count,
        )  # fmt: skip


# What one request may bring: more would keep the service from its logs.
Records = Annotated[list[Record], Field(max_length=5000)]


class Clerk:
    """Decides for each ban what becomes of it. Changes the table; `events` and `past` are what to write.

    `history` holds what is known of these (network, jail); `refuse` gives the reason why a network must not
    be banned for a jail, or None; `trial` names the jails that ban nobody.
    """

    def __init__(
        self,
        table: BanTable,
        history: Mapping[Key, list[Ended]],
        refuse: Callable[[Network, str], str | None],
        trial: Callable[[str], bool],
        now: Instant,
    ) -> None:
        self._table, self._refuse, self._trial, self._now = table, refuse, trial, now
        self._history = {key: list(ended) for key, ended in history.items()}
        self.events: list[Ban | Extended] = []
        self.past: list[Past] = []
        self.counts: Counter[Result] = Counter()
        self.told: list[dict[str, Any]] = []

    def take(self, ban: Ban, *, current: bool) -> None:
        """Take over one; those that do not become a ban, though they still ran, are `told`."""
        refusal = None
        result: Result
        if not current or (ban.until is not None and ban.until <= self._now):
            result = self._remember(ban)
        elif self._lifted(ban):
            result = "lifted"
        elif refusal := self._refuse(ban.network, ban.jail):
            result = "refused"
        else:
            result = self._stand(ban._replace(dry=self._trial(ban.jail)))
        self.counts[result] += 1
        if result in ("lifted", "refused"):
            one = {"event": result, "network": str(ban.network), "jail": ban.jail}
            self.told.append({**one, "reason": refusal} if refusal else one)

    def _stand(self, ban: Ban) -> Result:
        standing = self._table.of(ban.network, ban.jail)
        if standing is None or (standing.dry and not ban.dry):
            event = self._table.ban(ban)
        elif self._same(standing, ban):
            # Its failures are counted already.
            event = self._table.ban(ban._replace(failures=0))
        else:
            # Two bans of one jail: the later end counts, and the other one counts as a ban.
            event = self._table.ban(ban)
            if self._remember(ban) == "history" and event is None:
                return "history"
        if event is None:
            return "unchanged"
        self.events.append(event)
        return "banned" if isinstance(event, Ban) else "extended"

    def _remember(self, ban: Ban) -> Result:
        """Into the history, unless it stands or is known there."""
        key = (ban.network, ban.jail)
        known = self._history.setdefault(key, [])
        standing = self._table.of(*key)
        if (standing and self._same(standing, ban)) or any(one.at == ban.at for one in known):
            return "unchanged"
        over = ban.until is not None and ban.until <= self._now
        past = Past(ban, ban.until if over and ban.until else self._now, "expired" if over else "imported")
        known.append(Ended(ban.at, past.ended, past.why))
        self.past.append(past)
        return "history"

    def _lifted(self, ban: Ban) -> bool:
        """Whether it was ended here before its time. It stays so: an import brings nobody back."""
        ended = [one for one in self._history.get((ban.network, ban.jail), []) if one.why in _LIFTED]
        return any(ban.jail == LIST or one.ended > ban.at for one in ended)

    def _same(self, standing: Ban, ban: Ban) -> bool:
        """A list does not say when its bans began; Fail2Ban does, and that tells two bans apart."""
        return ban.jail == LIST or standing.at == ban.at

    def answer(self) -> dict[str, Any]:
        """As the control socket carries it: how many became what, and those that were not taken."""
        return {"counts": dict(self.counts), "told": self.told}


def _refusal(guard: Guard, network: Network, ignored: PrefixSet | None) -> str | None:
    """Why this must not be banned for a jail that ignores these, nor a network around one of them."""
    reason = guard.refuse(network, ignored)
    if reason is None and ignored and not network.single and ignored.inside(network):
        return "ignored"
    return reason


async def take(service: Service, records: Iterable[Record]) -> dict[str, Any]:
    """Take over bans in the running service; the caller waits until they are written."""
    taken = [(record.ban(), record.current) for record in records]
    failed = await service.ledger.commit()
    if failed:
        raise RefusedError(f"nothing was taken, for it could not be written down: {failed}", 69)
    history = await run_uncancellable(
        service.ledger.database.past, {(ban.network, ban.jail) for ban, _ in taken}
    )
    courts, guard, throws = service.judge.courts, service.judge.guard, service.enforcer.throws

    def refuse(network: Network, jail: str) -> str | None:
        court = courts.get(jail)
        reason = _refusal(guard, network, court.ignored if court else None)
        return reason or ("kept-reachable" if network in throws else None)

    def trial(jail: str) -> bool:
        return service.place.dry_run or (jail in courts and courts[jail].spec.dry_run)

    clerk = Clerk(service.table, history, refuse, trial, time.time())
    for ban, current in taken:
        clerk.take(ban, current=current)
    if any(court.spec.increment for court in courts.values()):
        for one in (*clerk.events, *(past.ban for past in clerk.past)):
            if isinstance(one, Ban) and not one.dry:
                _remember(service.judge.history, one)
    service.ledger.add(clerk.past)
    service.publish(clerk.events)
    return clerk.answer()


def _remember(history: History, ban: Ban) -> None:
    """What the database will say at the next start, growing ban times go by now."""
    known = history.of(ban.network, ban.jail)
    history.add(ban.network, ban.jail, max(known.times, ban.times), max(known.at, ban.at))


def into_state(
    state: Path, jails: Mapping[str, JailSpec], chunks: Iterable[list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Take over bans in the database of a service that does not run, as one transaction: all or nothing.

    What no host may ban is refused here; whom this host must not cut off, only the service knows, and does
    not enforce their bans. ConfigError where a zmban works with this state.
    """
    answers: list[dict[str, Any]] = []
    with claimed(state):
        database = Database(state)
        try:
            database.write(_changes(database, jails, chunks, answers))
        finally:
            database.close()
    return answers


def _changes(
    database: Database,
    jails: Mapping[str, JailSpec],
    chunks: Iterable[list[dict[str, Any]]],
    answers: list[dict[str, Any]],
) -> Iterator[Change]:
    guard, ignored = Guard({}), {name: PrefixSet(jail.ignoreip) for name, jail in jails.items()}
    for chunk in chunks:
        taken = [(record.ban(), record.current) for record in map(Record.model_validate, chunk)]
        keys = {(ban.network, ban.jail) for ban, _ in taken}
        clerk = Clerk(
            # Only those that the chunk may change: however many stand, it is a small table.
            BanTable(database.bans(keys)),
            database.past(keys),
            lambda network, jail: _refusal(guard, network, ignored.get(jail)),
            lambda jail: jail in jails and jails[jail].dry_run,
            time.time(),
        )
        for ban, current in taken:
            clerk.take(ban, current=current)
        yield from clerk.past
        yield from clerk.events
        answers.append(clerk.answer())
