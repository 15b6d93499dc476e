"""The changes that the database can write: events of the service and other state that survives a restart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sidecar.model import Ban, Extended, Failure, FailuresCleared, Instant, Position, Seconds, Unban
from sidecar.network import Network


@dataclass(frozen=True, slots=True)
class Allowed:
    """A network allowed by the administrator `by`: not banned before `until`."""

    network: Network
    at: Instant
    until: Instant | None
    reason: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class EvidenceLines:
    """Log lines of an active ban that has no evidence in the database. With `at`, only of the ban that began
    then."""

    network: Network
    jail: str
    lines: tuple[str, ...]
    at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Deletes the failures of every address in a network, in one jail or (None) in all."""

    network: Network
    jail: str | None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A ban for the history only: ended, or never active on this host. `why` is `expired` or `imported`."""

    ban: Ban
    ended: Instant
    why: str


@dataclass(frozen=True, slots=True)
class Ended:
    """One ban in the history: start, end, and why it ended (`manual`, `expired`, ...)."""

    at: Instant
    ended: Instant
    why: str


@dataclass(frozen=True, slots=True)
class Zone:
    """Detected time zone of the dates in a log: seconds ahead of UTC, None for the zone of the host."""

    path: str
    offset: Seconds | None


@dataclass(frozen=True, slots=True)
class Login:
    """A successful login of an account from a network; `account` "" marks a known mail server."""

    network: Network
    account: str
    at: Instant


@dataclass(frozen=True, slots=True)
class LogGone:
    """Deletes the positions and the time zone of a log that no longer exists."""

    path: str


@dataclass(frozen=True, slots=True)
class Memo:
    """A small fact that survives a restart, one per kind and key; `value` None deletes it."""

    kind: str
    key: str
    value: str | None
    at: Instant


# The kind of memo that switches dry run of a jail, the key, on or off.
DRY_RUN = "dry_run"


def switches(memos: Iterable[Memo]) -> dict[str, bool]:
    """Dry run as switched at run time, by jail."""
    return {one.key: one.value != "off" for one in memos if one.kind == DRY_RUN}


Key = tuple[Network, str]
Change = (
    Failure
    | FailuresCleared
    | Ban
    | Extended
    | Unban
    | HistoryEntry
    | Forgotten
    | Position
    | LogGone
    | Allowed
    | Zone
    | EvidenceLines
    | Login
    | Memo
)


def lasting(changes: Sequence[Change]) -> list[Change]:
    """The changes without those that a later one of them undoes: failures that no longer count. Under attack
    these are most."""
    cleared: set[Key] = set()
    kept: list[Change] = []
    for change in reversed(changes):
        if isinstance(change, Failure | FailuresCleared):
            key = change.network, change.jail
            if key in cleared:
                continue
            if isinstance(change, FailuresCleared):
                cleared.add(key)
        elif isinstance(change, Ban | Extended):
            ban = change if isinstance(change, Ban) else change.ban
            cleared.add((ban.network, ban.jail))
        kept.append(change)
    kept.reverse()
    return kept
