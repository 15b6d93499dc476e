"""The ground floor: the frozen values that travel from a log line to a route, and the errors.

Times are epoch seconds (UTC) as floats, durations are seconds; `None` as an end means for ever.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from sidecar.network import Network

Instant: TypeAlias = float
Seconds: TypeAlias = float
_NOTHING: Mapping[str, str] = MappingProxyType({})
# No duration is longer: what is, is for ever. And no instant is later: calendars end with the year 9999, in
# zones ahead of UTC some hours before that.
LONGEST: Seconds = 100 * 365.25 * 86400
LATEST: Instant = 253370764800.0
Origin: TypeAlias = Literal["log", "manual", "import", "cluster"]


def printable(text: str) -> str:
    """Text from outside for a terminal or a log: what could drive one (control codes, line breaks, changes of
    the writing direction, what no font shows) is written as Python escapes it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def plural(number: int, one: str, many: str = "") -> str:
    """The word for so many of a thing: `one`, else `many` (without it, `one` with an s)."""
    return one if number == 1 else many or f"{one}s"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 failure`, `2 failures`."""
    return f"{number} {plural(number, one, many)}"


def decoded(raw: bytes) -> tuple[str, str]:
    """The text of a file that a person wrote, and what is wrong with its encoding, nothing for UTF-8. What is
    no UTF-8 is read as Latin-1: nothing must be lost for an umlaut."""
    for name in ("utf-32", "utf-16"):
        if raw.startswith(_MARKS[name]) or _looks_like(raw, 4 if name == "utf-32" else 2):
            text = raw.decode(_ordered(name, raw), errors="replace").removeprefix("\ufeff")
            return (
                text,
                f"is {name.upper()}, as Windows saves it, which Fail2Ban does not read; save it as UTF-8",
            )
    try:
        return raw.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "is not UTF-8 and read as Latin-1; save it as UTF-8"


_MARKS = {
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}


def _looks_like(raw: bytes, width: int) -> bool:
    """Whether nearly every character of a text takes so many bytes, of which all but one are zero."""
    return len(raw) >= 4 * width and raw.count(0) > len(raw) * (width - 1) // width * 0.9


def _ordered(name: str, raw: bytes) -> str:
    """With the order of its bytes, where no mark tells it."""
    return name if raw.startswith(_MARKS[name]) else f"{name}-{'be' if raw[0] == 0 else 'le'}"


class ZmbanError(Exception):
    """Any fault that zmban expects; the text is one sentence for the person who must act."""


class ConfigError(ZmbanError):
    """The administrator must change a file, an option or a command line."""


class SourceError(ZmbanError):
    """A log cannot be read just now; the supervisor tries again."""


class KernelError(ZmbanError):
    """The kernel refused; the supervisor tries again, or the administrator grants a capability."""


class StoreError(ZmbanError):
    """The database cannot be used as it is."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in the configuration: where, what, and the cure in the same sentence.

    `jail` is the jail that suffers (None: no single one): it does without what is wrong, or is stopped by
    it. A `warning` leaves everything as it was written.
    """

    file: str
    line: int
    message: str
    jail: str | None = None
    warning: bool = False
    stops: bool = False

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}: {'warning: ' if self.warning else ''}{self.message}"
        # A file's control characters neither break the line nor reach a terminal.
        return printable(text)


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of one log, read in one go.

    `data` ends with a newline, or is empty where only a position is told.
    `position` is where to go on when this block is done; `live` is False
    while a backlog is read. `written` is when the file was written to last, if more of it is unread.
    `told` are positions of other contents, to be kept together with `position`.
    """

    data: bytes
    position: Position
    live: bool
    read_at: Instant
    written: Instant | None = None
    told: tuple[Position, ...] = ()


@dataclass(frozen=True, slots=True)
class Position:
    """How far one content of the log `path` was read: up to `offset`.

    `head` are its first bytes and `tail` the last ones before `offset`: by them it is known again in a file
    that was renamed, copied or packed, and a truncated file is known to hold something else. `content` is the
    number that it keeps, whatever file it lies in; `inode` is that of the file it was read from.
    """

    path: str
    inode: int
    offset: int
    head: bytes
    tail: bytes = b""
    content: int = 0


class LineFacts(NamedTuple):
    """One line. `client` is the one address that the server itself names as whose doing this was, None where
    it names none; `masked` is a proxy that stands in a client's place. `good`: the client logged in as
    `account`. `excused`: a login failed for a reason that is not the client's. `peer` is a mail server that
    took our mail, or whose mail was found clean. `relay` is a peer on a network of ours that speaks for
    others and is no trusted proxy; `named` is the address that it speaks for, if it says so."""

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


# A line of which the server names nobody: whom a filter finds in it is not to be believed.
NOBODY = LineFacts()


class Match(NamedTuple):
    """A line that a failregex of a jail matched. `host` is whom it blames, None if nobody; `at` is the
    line's own time, None if it carries none; `said` is what the grammar of its log, `source`, makes of it."""

    jail: str
    host: str | None
    at: Instant | None
    line: str
    source: str = ""
    said: LineFacts | None = None


class Failure(NamedTuple):
    """One failure that counts against a network in a jail's window."""

    jail: str
    network: Network
    at: Instant
    line: str


class FailuresCleared(NamedTuple):
    """The failures that stood against a network in a jail led to no new ban, and count no more."""

    jail: str
    network: Network


# How the reason of a ban begins that was taken back from the kernel's own routes.
ADOPTED = "taken back from the kernel: "


class Ban(NamedTuple):
    """A network is refused from `at` until `until` (None: for ever) for one jail."""

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

    @property
    def adopted(self) -> bool:
        """Whether only the kernel still knew of it: it stands in for a ban of which nobody can tell more, and
        was never counted."""
        return self.times == 0 and self.origin == "import" and self.reason.startswith(ADOPTED)


class Extended(NamedTuple):
    """A standing ban of the same jail ends later than it did."""

    ban: Ban


class Unban(NamedTuple):
    """A ban of one jail ended: its time was over, or a person lifted it."""

    network: Network
    jail: str
    at: Instant
    reason: str
    dry: bool = False


class Refused(NamedTuple):
    """Somebody would have been banned or counted, and was not; `reason` is a label of refused_total.

    `at` is the line's own time, None if it has none or was not read.
    """

    host: str
    jail: str
    at: Instant | None
    reason: str
    client: str | None = None
    line: str = ""


class Slow(NamedTuple):
    """A regex of a jail worked on a line for too long and was broken off; `until` is when it is tried again,
    None if at once."""

    jail: str
    regex: str
    until: Instant | None
    line: str = ""


Event: TypeAlias = Failure | FailuresCleared | Ban | Extended | Unban | Refused | Slow
