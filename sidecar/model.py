"""The frozen values passed from log line to route, and the exceptions.

Times are epoch seconds (UTC) as floats, durations are seconds; an end of `None` means for ever.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

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


def decoded(raw: bytes) -> tuple[str, str]:
    """The text of a configuration file, and a warning about its encoding ("" for UTF-8). Bytes that are not
    UTF-8 are read as Latin-1, so that one umlaut never loses a file."""
    for name in ("utf-32", "utf-16"):
        if raw.startswith(_MARKS[name]) or _looks_like(raw, 4 if name == "utf-32" else 2):
            text = raw.decode(_with_byte_order(name, raw), errors="replace").removeprefix("\ufeff")
            return (
                text,
                f"is {name.upper()}, as Windows saves it, which Fail2Ban does not read; save it as UTF-8",
            )
    try:
        return raw.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "is not UTF-8 and is read as Latin-1; save it as UTF-8"


_MARKS = {
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}


def _looks_like(raw: bytes, width: int) -> bool:
    """Whether nearly every character takes `width` bytes, all but one of them zero."""
    return len(raw) >= 4 * width and raw.count(0) > len(raw) * (width - 1) // width * 0.9


def _with_byte_order(name: str, raw: bytes) -> str:
    """The encoding name, with its byte order appended if there is no byte order mark."""
    return name if raw.startswith(_MARKS[name]) else f"{name}-{'be' if raw[0] == 0 else 'le'}"


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
    """One failure that counts against a network in a jail's window."""

    jail: str
    network: Network
    at: Instant
    line: str


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


class Batch(NamedTuple):
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

    @property
    def new(self) -> Sequence[Event | Match]:
        """The events to count and log. If `restored`, only the unbans: the others happened earlier."""
        return [e for e in self.events if isinstance(e, Unban)] if self.restored else self.events
