"""Decides what happens to each imported ban, both for the running service and for its database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StrictBool

from sidecar.bans.register import BanRegister
from sidecar.model import Ban, Extended, Instant, Origin, Seconds, Unban
from sidecar.network import Network
from sidecar.offline.arguments import Name, Note, Time
from sidecar.store.database import Ended, HistoryEntry, Key
from sidecar.store.imports.entry import LIST

# Why a ban ended that an administrator lifted.
LIFTED = "manual"
_SAME: Seconds = 1e-3
_Count = Annotated[int, Field(ge=0, lt=2**31)]
Result = Literal["banned", "extended", "history", "unchanged", "lifted", "refused"]


class Record(BaseModel, frozen=True, extra="forbid"):
    """One ban as sent over the control socket, see `ListedBan.record`."""

    network: str
    jail: Name
    at: Time
    until: Time | None
    reason: Note
    failures: _Count
    count: _Count
    evidence: tuple[str, ...]
    current: StrictBool
    origin: Origin = "import"
    by: Note = ""
    dry: StrictBool = False

    def ban(self) -> Ban:
        """The record as a Ban. ValueError if its network is invalid."""
        return Ban(
            Network.parse(self.network), self.jail, self.at, self.until, self.origin, self.reason,
            self.failures, self.evidence, self.count, self.dry, self.by,
        )  # fmt: skip


# Maximum number of records per request, so that the service keeps reading its logs.
Records = Annotated[list[Record], Field(max_length=5000)]


class ImportDecisions:
    """Decides what happens to each imported ban. Adds bans to the register; `events` are to be published,
    `past` to be written into the history.

    `history` is the known history of each (network, jail). `refuse` returns why a network must not be banned
    by a jail, or None. `trial` are the jails with dry_run.
    """

    def __init__(
        self,
        register: BanRegister,
        history: Mapping[Key, list[Ended]],
        refuse: Callable[[Network, str], str | None],
        trial: Callable[[str], bool],
        now: Instant,
    ) -> None:
        self._register, self._refuse, self._trial, self._now = register, refuse, trial, now
        self._history = {key: list(ended) for key, ended in history.items()}
        self.events: list[Ban | Extended] = []
        self.past: list[HistoryEntry] = []
        self.counts: Counter[Result] = Counter()
        self.told: list[dict[str, Any]] = []

    def take(self, ban: Ban, *, current: bool) -> None:
        """Import one ban. A `current` one that does not become active is recorded in `told`."""
        refusal = None
        result: Result
        if not current or (ban.until is not None and ban.until <= self._now):
            result = self._remember(ban)
        elif self._lifted(ban):
            result = "lifted"
        elif refusal := self._refuse(ban.network, ban.jail):
            result = "refused"
        else:
            result = self._stand(ban._replace(dry=ban.dry or self._trial(ban.jail)))
        self.counts[result] += 1
        if result in ("lifted", "refused"):
            one = {"event": result, "network": str(ban.network), "jail": ban.jail}
            self.told.append({**one, "reason": refusal} if refusal else one)

    def _stand(self, ban: Ban) -> Result:
        standing = self._register.table.of(ban.network, ban.jail)
        if standing is None or (standing.dry and not ban.dry):
            event = self._ban(ban)
        elif self._same(standing, ban):
            # Its failures were already counted.
            event = self._ban(ban._replace(failures=0))
        else:
            # If two bans of a jail overlap, the later end applies, and the other one counts as a ban.
            event = self._ban(ban)
            if self._remember(ban) == "history" and event is None:
                return "history"
        if event is None:
            return "unchanged"
        self.events.append(event)
        return "banned" if isinstance(event, Ban) else "extended"

    def _ban(self, ban: Ban) -> Ban | Extended | None:
        events = [one for one in self._register.ban(ban, self._now) if not isinstance(one, Unban)]
        return events[0] if events else None

    def _remember(self, ban: Ban) -> Result:
        """Add a ban to the history, unless it is active or already in the history."""
        key = (ban.network, ban.jail)
        known = self._history.setdefault(key, [])
        standing = self._register.table.of(*key)
        if (standing and self._same(standing, ban)) or any(_at_once(one.at, ban.at) for one in known):
            return "unchanged"
        over = ban.until is not None and ban.until <= self._now
        past = HistoryEntry(
            ban, ban.until if over and ban.until else self._now, "expired" if over else "imported"
        )
        known.append(Ended(ban.at, past.ended, past.why))
        self.past.append(past)
        return "history"

    def _lifted(self, ban: Ban) -> bool:
        """Whether an administrator lifted this ban here. An import does not restore it."""
        ended = [one for one in self._history.get((ban.network, ban.jail), []) if one.why == LIFTED]
        return any(ban.jail == LIST or one.ended > ban.at for one in ended)

    def _same(self, standing: Ban, ban: Ban) -> bool:
        """Whether these are the same ban. A list does not give the start of a ban; Fail2Ban does, so there
        the start must be equal."""
        return ban.jail == LIST or _at_once(standing.at, ban.at)

    def answer(self) -> dict[str, Any]:
        """The answer for the control socket: the number per result, and the bans that were not imported."""
        return {"counts": dict(self.counts), "told": self.told}


def _at_once(one: Instant, other: Instant) -> bool:
    """Whether these are the same moment: an exported text has microseconds."""
    return abs(one - other) < _SAME
