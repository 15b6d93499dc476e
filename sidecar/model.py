"""The ground floor: the frozen values that travel from a log line to a route, and the errors.

Times are epoch seconds (UTC) as floats, durations are seconds; `None` as an end means for ever.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

Instant: TypeAlias = float
Seconds: TypeAlias = float
Origin: TypeAlias = Literal["log", "manual", "import", "cluster"]

BITS = {4: 32, 6: 128}


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

    `jail` is the jail that suffers (None: no single one); a `warning` does not stop it.
    """

    file: str
    line: int
    message: str
    jail: str | None = None
    warning: bool = False

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}: {'warning: ' if self.warning else ''}{self.message}"
        if text.isprintable():
            return text
        # A file's control characters neither break the line nor reach a terminal.
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Network(NamedTuple):
    """An IPv4 or IPv6 network; a single address is one of full length.

    A tuple, because a million of them are compared, hashed and sorted: `version` is 4 or 6, `value`
    the network address as an integer with no host bit set, `length` the prefix length.
    """

    version: int
    value: int
    length: int

    @classmethod
    def parse(cls, text: str) -> Network:
        """Read `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32`; strict, so `999.1.1.1` and host bits are
        ValueError. An IPv4-mapped IPv6 address is the IPv4 address."""
        return _parse(text)

    @classmethod
    def around(cls, text: str) -> Network:
        """As `parse`, but `127.0.0.1/8` and `10.1.2.3/255.0.0.0` are the network around the address, as
        everybody writes it."""
        address, slash, length = text.strip().strip("[]").partition("/")
        parsed = _parse(address)
        return parsed.supernet(_length(length, parsed)) if slash else parsed

    @classmethod
    def unit(cls, text: str, ipv4_prefix: int = 32, ipv6_prefix: int = 64) -> Network:
        """The network that is banned for one attacking address: the address itself, or an IPv6 prefix."""
        address = _parse(text)
        if _TRANSLATED.covers(address):
            # Behind a translator each address is one IPv4 client of its own.
            return address
        prefix = ipv4_prefix if address.version == 4 else ipv6_prefix
        return address if address.length <= prefix else address.supernet(prefix)

    def supernet(self, length: int) -> Network:
        """The network of this shorter `length` around this one."""
        shift = BITS[self.version] - length
        return Network(self.version, (self.value >> shift) << shift, length)

    def covers(self, other: Network) -> bool:
        """Whether every address of `other` lies in this network."""
        if self.version != other.version or self.length > other.length:
            return False
        return (self.value ^ other.value) >> (BITS[self.version] - self.length) == 0

    @property
    def packed(self) -> bytes:
        """The network address in network byte order: 4 or 16 bytes."""
        return self.value.to_bytes(BITS[self.version] // 8, "big")

    @property
    def addresses(self) -> int:
        """How many addresses it holds."""
        return int(1 << (BITS[self.version] - self.length))

    @property
    def single(self) -> bool:
        """Whether it is one address."""
        return self.length == BITS[self.version]

    @property
    def address(self) -> str:
        """The network address as canonical text, without the length."""
        if self.version == 4:
            value = self.value
            return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"
        return str(ipaddress.ip_address(self.packed))

    def __str__(self) -> str:
        return f"{self.address}/{self.length}"


_TRANSLATED = Network(6, 0x64FF9B << 96, 96)


@lru_cache(maxsize=16384)
def _parse(text: str) -> Network:
    parts = text.split(".")
    if len(parts) == 4 and text.isascii() and all(map(str.isdigit, parts)):
        # During an attack most of the time would be spent in ipaddress, for addresses like this one.
        a, b, c, d = map(int, parts)
        if f"{a}.{b}.{c}.{d}" == text and max(a, b, c, d) < 256:
            return Network(4, a << 24 | b << 16 | c << 8 | d, 32)
    parsed = ipaddress.ip_network(text.strip().strip("[]"))
    if isinstance(parsed, ipaddress.IPv6Network):
        mapped = parsed.network_address.ipv4_mapped
        if mapped is not None and parsed.prefixlen >= 96:
            return Network(4, int(mapped), parsed.prefixlen - 96)
        return Network(6, int(parsed.network_address), parsed.prefixlen)
    return Network(4, int(parsed.network_address), parsed.prefixlen)


def _length(text: str, address: Network) -> int:
    """A prefix length, or for IPv4 a netmask."""
    if "." in text and address.version == 4:
        mask = _parse(text).value
        length = mask.bit_count()
        if mask != Network(4, 2**32 - 1, 32).supernet(length).value:
            raise ValueError(f"{text} is no netmask")
        return length
    if not (text.isascii() and text.isdecimal()) or int(text) > address.length:
        raise ValueError(f"/{text} is no prefix length")
    return int(text)


class PrefixSet:
    """Networks of any length; a question costs one lookup per length that occurs, however many there are."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = frozenset(networks)
        # For each version the lengths that occur, longest first, each with its members by their first bits.
        self._lengths: dict[int, list[tuple[int, int, dict[int, Network]]]] = {4: [], 6: []}
        for version, length in sorted({(n.version, n.length) for n in self._networks}, reverse=True):
            shift = BITS[version] - length
            members = {n.value >> shift: n for n in self._networks if n[::2] == (version, length)}
            self._lengths[version].append((length, shift, members))

    def covering(self, network: Network) -> Network | None:
        """The most specific member that covers all of `network`."""
        for length, shift, members in self._lengths[network.version]:
            if length <= network.length and (found := members.get(network.value >> shift)) is not None:
                return found
        return None

    def inside(self, network: Network) -> list[Network]:
        """The members that lie inside `network` (itself included), in no order."""
        return [n for n in self._networks if network.covers(n)]

    def __iter__(self) -> Iterator[Network]:
        return iter(self._networks)

    def __len__(self) -> int:
        return len(self._networks)

    def __contains__(self, network: object) -> bool:
        return network in self._networks


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of one log, read in one go.

    `data` ends with a newline, or is empty where a file was just opened.
    `position` is where to go on when this block is done; `live` is False
    while a backlog is read.
    """

    data: bytes
    position: Position
    live: bool
    read_at: Instant


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file of a log was read: up to `offset`.

    `head` are its first bytes and `tail` the last ones before `offset`: by them the file is known again when
    it was renamed, copied or packed, and known to be another one when it was truncated.
    """

    path: str
    inode: int
    offset: int
    head: bytes
    tail: bytes = b""


class Match(NamedTuple):
    """A line that a failregex of a jail matched. `host` is whom it blames, None if nobody; `at` is the
    line's own time, None if it carries none."""

    jail: str
    host: str | None
    at: Instant | None
    line: str


class Failure(NamedTuple):
    """One failure that counts against a network in a jail's window."""

    jail: str
    network: Network
    at: Instant
    line: str


class Spent(NamedTuple):
    """The failures that stood against a network in a jail led to no new ban, and count no more."""

    jail: str
    network: Network


@dataclass(frozen=True, slots=True)
class Ban:
    """A network is refused from `at` until `until` (None: for ever) for one jail."""

    network: Network
    jail: str
    at: Instant
    until: Instant | None
    origin: Origin
    reason: str = ""
    failures: int = 0
    evidence: tuple[str, ...] = ()
    count: int = 1
    dry: bool = False


class Extended(NamedTuple):
    """A standing ban of the same jail ends later than it did."""

    ban: Ban


class Unban(NamedTuple):
    """A ban of one jail ended: its time was over, or a person lifted it."""

    network: Network
    jail: str
    at: Instant
    reason: str


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


Event: TypeAlias = Failure | Spent | Ban | Extended | Unban | Refused | Slow
