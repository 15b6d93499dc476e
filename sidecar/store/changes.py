"""What is written to the database: the events of the service, and what else outlives a restart."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.model import Ban, Extended, Failure, FailuresCleared, Instant, Position, Seconds, Unban
from sidecar.network import Network


@dataclass(frozen=True, slots=True)
class Allowed:
    """A network that a person allowed for a time: never banned until then."""

    network: Network
    at: Instant
    until: Instant | None
    reason: str


@dataclass(frozen=True, slots=True)
class EvidenceLines:
    """The evidence of a ban that stands, where the database has none; of the one that began `at`, if that is
    said."""

    network: Network
    jail: str
    lines: tuple[str, ...]
    at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The failures of everything inside a network no longer count, in one jail or (None) in all."""

    network: Network
    jail: str | None


@dataclass(frozen=True, slots=True)
class Past:
    """A ban that is over, or never stood here: only counted. `why` is `expired`, or `imported`."""

    ban: Ban
    ended: Instant
    why: str


@dataclass(frozen=True, slots=True)
class Ended:
    """What the history knows of one ban: when it began and ended, and why (`manual`, `expired`, ...)."""

    at: Instant
    ended: Instant
    why: str


@dataclass(frozen=True, slots=True)
class Zone:
    """The zone that a log's dates were found to be in: seconds ahead of UTC, None for the host's own."""

    path: str
    offset: Seconds | None


@dataclass(frozen=True, slots=True)
class Good:
    """An account logged in from a network; `account` "": a mail server that we deal with."""

    network: Network
    account: str
    at: Instant


Key = tuple[Network, str]
Change = (
    Failure
    | FailuresCleared
    | Ban
    | Extended
    | Unban
    | Past
    | Forgotten
    | Position
    | Allowed
    | Zone
    | EvidenceLines
    | Good
)
