"""The frozen values passed from log line to route, and the exceptions.

Times are epoch seconds (UTC) as floats, durations are seconds; an end of `None` means for ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from sidecar.network import Network

Instant: TypeAlias = float
Seconds: TypeAlias = float
_NOTHING: Mapping[str, str] = MappingProxyType({})
# The longest duration; anything longer is for ever. The latest instant: datetime ends with the year 9999,
# some hours earlier in zones ahead of UTC.
LONGEST: Seconds = 100 * 365.25 * 86400
LATEST: Instant = 253370764800.0
Origin: TypeAlias = Literal["log", "manual", "import", "cluster"]


def printable(text: str) -> str:
    """Untrusted text made safe for a terminal or a log: control codes, line breaks, bidirectional marks and
    other unprintable characters are replaced by Python escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def plural(number: int, one: str, many: str = "") -> str:
    """`one` for the number 1, else `many` (default: `one` with an s)."""
    return one if number == 1 else many or f"{one}s"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 failure`, `2 failures`."""
    return f"{number} {plural(number, one, many)}"


class ZmbanError(Exception):
    """Base of all expected errors; the text is one sentence for the administrator."""


class ConfigError(ZmbanError):
    """The administrator must change a file, an option or a command line."""


class SourceError(ZmbanError):
    """A log cannot be read at the moment; the supervisor retries."""


class KernelError(ZmbanError):
    """The kernel refused a request; the supervisor retries, or the administrator grants a capability."""


class StoreError(ZmbanError):
    """The database cannot be used."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One configuration error: file, line, and one sentence with the problem and its cure.

    `jail` is the affected jail (None: no single one). The jail runs without the faulty part, or does not run
    at all if `stops` is set. A `warning` changes nothing.
    """

    file: str
    line: int
    message: str
    jail: str | None = None
    warning: bool = False
    stops: bool = False

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}: {'warning: ' if self.warning else ''}{self.message}"
        # Control characters from the file must not break the line or reach a terminal.
        return printable(text)


@dataclass(frozen=True, slots=True)
class Block:
    """Complete lines of one log, read at once.

    `data` ends with a newline, or is empty if the block only carries a position. `position` is where to
    continue after this block. `live` is False while a backlog is read. `written` is the modification time of
    the file if more of it is unread. `told` are positions of other contents to commit with `position`.
    """

    data: bytes
    position: Position
    live: bool
    read_at: Instant
    written: Instant | None = None
    told: tuple[Position, ...] = ()


@dataclass(frozen=True, slots=True)
class Position:
    """How far one content of the log `path` has been read: up to `offset`.

    `head` (its first bytes) and `tail` (the last bytes before `offset`) identify the content after the file
    was renamed, copied or compressed, and detect a truncated file. `content` is the number of this content,
    independent of its file; `inode` is that of the file it was read from.
    """

    path: str
    inode: int
    offset: int
    head: bytes
    tail: bytes = b""
    content: int = 0


class LineFacts(NamedTuple):
    """What a log grammar reads from one line.

    `client` is the address that the server itself names as the origin, None if it names none. `masked` is a
    trusted proxy that appears in place of the client. `good`: the client logged in as `account`. `excused`: a
    login failed for a reason that is not the client's fault. `peer` is a mail server that accepted our mail,
    or whose mail was found clean. `relay` is a peer on one of our networks that forwards for others and is no
    trusted proxy; `named` is the address it forwards for, if given.
    """

    client: str | None = None
    masked: str | None = None
    account: str = ""
    protocol: str = ""
    good: bool = False
    excused: bool = False
    peer: str | None = None
    fields: Mapping[str, str] = _NOTHING
    relay: str | None = None
    named: str = ""


# A line in which the server names no client: an address that a filter finds in it is not trusted.
NOBODY = LineFacts()


class Match(NamedTuple):
    """A line that matched a failregex of a jail.

    `host` is the address or name to blame, None if there is none. `at` is the time in the line, None if it
    has no date. `facts` is what the grammar of the log `source` reads from the line.
    """

    jail: str
    host: str | None
    at: Instant | None
    line: str
    source: str = ""
    facts: LineFacts | None = None


class Failure(NamedTuple):
    """One failure that counts against a network in a jail's window. `kept` is False if the jail has banned
    the network for ever already: no later failure makes a difference, and none is stored."""

    jail: str
    network: Network
    at: Instant
    line: str
    kept: bool = True


class FailuresCleared(NamedTuple):
    """The failures of a network in a jail were dropped without a new ban; they no longer count."""

    jail: str
    network: Network


# Prefix of the reason of a ban that was restored from a route in the kernel.
ADOPTED = "taken back from the kernel: "


class Ban(NamedTuple):
    """A network is banned from `at` until `until` (None: for ever) by one jail. `by` names who banned it by
    hand."""

    network: Network
    jail: str
    at: Instant
    until: Instant | None
    origin: Origin
    reason: str = ""
    failures: int = 0
    evidence: tuple[str, ...] = ()
    times: int = 1
    dry: bool = False
    by: str = ""

    @property
    def adopted(self) -> bool:
        """Whether the ban was restored from a kernel route alone, without a record of the original ban. It
        was never counted."""
        return self.times == 0 and self.origin == "import" and self.reason.startswith(ADOPTED)


class Extended(NamedTuple):
    """An active ban of the same jail was extended. A widened one may also end earlier than before."""

    ban: Ban


class Unban(NamedTuple):
    """A ban of one jail ended: it expired, or an administrator `by` lifted it."""

    network: Network
    jail: str
    at: Instant
    reason: str
    dry: bool = False
    by: str = ""


class Refused(NamedTuple):
    """A ban or a failure that was rejected; `reason` is a label of refused_total.

    `at` is the time in the line, None if it has no date or the line was not parsed.
    """

    host: str
    jail: str
    at: Instant | None
    reason: str
    client: str | None = None
    line: str = ""


class Slow(NamedTuple):
    """A regex of a jail exceeded its time budget on a line and was aborted. It is not used until `until`;
    None if it stays in use."""

    jail: str
    regex: str
    until: Instant | None
    line: str = ""


Event: TypeAlias = Failure | FailuresCleared | Ban | Extended | Unban | Refused | Slow


_E = TypeVar("_E")


@dataclass(frozen=True)
class Batch:
    """One publication on the bus: the events of one block of a log `source`, or of one command (""), in
    order.

    `live` is False while a backlog is read. `sequence` is the number of the first event, counted since the
    start of the service. `read_at` is when the lines were read. `restored`: read from a damaged database
    after the start, see `new`.
    """

    events: Sequence[Event | Match]
    live: bool = False
    source: str = ""
    sequence: int = 0
    read_at: Instant | None = None
    restored: bool = False

    def of(self, kind: type[_E]) -> Sequence[_E]:
        """The events of this kind, in order."""
        return self._by_kind.get(kind, ())

    @cached_property
    def _by_kind(self) -> dict[type, list[Any]]:
        # Found once for all subscribers: under attack most of them want none of the events.
        found: defaultdict[type, list[Any]] = defaultdict(list)
        for event in self.events:
            found[type(event)].append(event)
        return dict(found)

    @cached_property
    def new(self) -> Batch:
        """What to count and log. If `restored`, only the unbans: the others happened earlier."""
        return replace(self, events=self.of(Unban)) if self.restored else self
