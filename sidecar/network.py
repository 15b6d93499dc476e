"""IPv4 and IPv6 networks, and sets of them."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import takewhile
from socket import AF_INET, AF_INET6, inet_pton

BITS = {4: 32, 6: 128}
# Bypasses Network.__new__, which is too slow to call for each attacker's address.
_new_bytes = bytes.__new__
_V4, _V6, _FULL4, _FULL6 = b"\x04", b"\x06", b"\x20", b"\x80"
_BYTE = tuple(bytes((number,)) for number in range(256))
_MAPPED = bytes(10) + b"\xff\xff"


class Network(bytes):
    """An IPv4 or IPv6 network; a single address is a network of full prefix length.

    Stored as bytes, because up to a million are kept in memory, compared, hashed and passed to the kernel:
    version (4 or 6), network address in network byte order without host bits, prefix length. Sorts by
    version, address, length.
    """

    __slots__ = ()

    def __new__(cls, version: int, value: int, length: int) -> Network:
        """`value` is the network address as an integer; no host bit may be set."""
        return _new_bytes(cls, bytes((version, *value.to_bytes(BITS[version] // 8, "big"), length)))

    def __getnewargs__(self) -> tuple[int, int, int]:  # type: ignore[override]
        return self.version, self.value, self.length

    @classmethod
    def of(cls, version: int, packed: bytes, length: int) -> Network:
        """The network of an address of 4 or 16 bytes, as the kernel and databases store it."""
        return _new_bytes(cls, _BYTE[version] + packed + _BYTE[length])

    @classmethod
    def parse(cls, text: str) -> Network:
        """Parse `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32`. An IPv4-mapped IPv6 address becomes the
        IPv4 address. Raises ValueError for anything else, also for `999.1.1.1` and for host bits."""
        return _parse(text)

    @classmethod
    def around(cls, text: str) -> Network:
        """As `parse`, but host bits are cleared and IPv4 netmasks accepted: `127.0.0.1/8`,
        `10.1.2.3/255.0.0.0`."""
        if quick := _parse_address(text):
            return quick
        address, slash, length = text.strip().strip("[]").partition("/")
        parsed = _parse(address)
        if slash and ":" in address and parsed[0] == 4:
            # A mapped IPv4 network: its length counts from the 96 bits before the address.
            return _parse(f"{address}/{length}")
        return parsed.supernet(_length(length, parsed)) if slash else parsed

    def unit(self, ipv4_prefix: int = 32, ipv6_prefix: int = 64) -> Network:
        """The network to ban for this attacking address: the address itself, or its IPv6 prefix."""
        if self[0] == 4:
            return self if self[-1] <= ipv4_prefix else self.supernet(ipv4_prefix)
        # With NAT64 each IPv6 address is a separate IPv4 client.
        return self if self[-1] <= ipv6_prefix or _NAT64.covers(self) else self.supernet(ipv6_prefix)

    def supernet(self, length: int) -> Network:
        """The network of the shorter prefix `length` that contains this one."""
        whole, rest = divmod(length, 8)
        kept = self[: 1 + whole]
        if rest:
            kept += bytes((self[1 + whole] & 0xFF00 >> rest & 0xFF,))
        return _new_bytes(Network, kept.ljust(len(self) - 1, b"\0") + _BYTE[length])

    def covers(self, other: Network) -> bool:
        """Whether every address of `other` lies in this network."""
        whole, rest = divmod(self[-1], 8)
        if not other.startswith(self[: 1 + whole]) or self[-1] > other[-1]:
            return False
        return not rest or (self[1 + whole] ^ other[1 + whole]) >> (8 - rest) == 0

    def those_inside(self, networks: Iterable[Network]) -> list[Network]:
        """The members of `networks` that lie inside this network."""
        beginning = self[: 1 + self[-1] // 8]
        return [one for one in networks if one.startswith(beginning) and self.covers(one)]

    @property
    def version(self) -> int:
        """4 or 6."""
        return self[0]

    @property
    def length(self) -> int:
        """The prefix length."""
        return self[-1]

    @property
    def packed(self) -> bytes:
        """The network address in network byte order: 4 or 16 bytes."""
        return self[1:-1]

    @property
    def value(self) -> int:
        """The network address as an integer."""
        return int.from_bytes(self[1:-1], "big")

    @property
    def addresses(self) -> int:
        """The number of addresses."""
        return int(1 << (BITS[self[0]] - self[-1]))

    @property
    def single(self) -> bool:
        """Whether this is a single address."""
        return self[-1] == BITS[self[0]]

    @property
    def address(self) -> str:
        """The network address as canonical text, without the length."""
        if self[0] == 4:
            return "{}.{}.{}.{}".format(*self[1:-1])
        return str(ipaddress.ip_address(self.packed))

    @property
    def text(self) -> str:
        """As Fail2Ban writes it: a single address without the length."""
        return self.address if self.single else str(self)

    def __str__(self) -> str:
        return "{}.{}.{}.{}/{}".format(*self[1:]) if self[0] == 4 else f"{self.address}/{self[-1]}"

    def __repr__(self) -> str:
        return f"Network({self})"


_NAT64 = Network(6, 0x64FF9B << 96, 96)


def _parse_address(text: str) -> Network | None:
    """Fast path: a plain address without prefix length; None for anything else."""
    try:
        return _new_bytes(Network, _V4 + inet_pton(AF_INET, text) + _FULL4)
    except (OSError, ValueError):
        pass
    try:
        packed = inet_pton(AF_INET6, text)
    except (OSError, ValueError):
        return None
    if packed.startswith(_MAPPED):
        return _new_bytes(Network, _V4 + packed[12:] + _FULL4)
    return _new_bytes(Network, _V6 + packed + _FULL6)


def _parse(text: str) -> Network:
    if quick := _parse_address(text):
        return quick
    parsed = ipaddress.ip_network(text.strip().strip("[]"))
    if isinstance(parsed, ipaddress.IPv6Network):
        mapped = parsed.network_address.ipv4_mapped
        if mapped is not None and parsed.prefixlen >= 96:
            return Network(4, int(mapped), parsed.prefixlen - 96)
        return Network(6, int(parsed.network_address), parsed.prefixlen)
    return Network(4, int(parsed.network_address), parsed.prefixlen)


def _length(text: str, address: Network) -> int:
    """The prefix length given as a number or, for IPv4, as a netmask."""
    if "." in text and address.version == 4:
        mask = _parse(text).value
        length = mask.bit_count()
        if mask != Network(4, 2**32 - 1, 32).supernet(length).value:
            raise ValueError(f"{text} is not a netmask")
        return length
    if not (text.isascii() and text.isdecimal()) or int(text) > address.length:
        raise ValueError(f"/{text} is not a prefix length")
    return int(text)


class PrefixSet:
    """A set of networks of any length. A lookup costs one dict access per prefix length that occurs."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = frozenset(networks)
        # Per version: (length, shift, members by their prefix bits), longest prefix first.
        self._lengths: dict[int, list[tuple[int, int, dict[int, Network]]]] = {4: [], 6: []}
        for version, length in sorted({(n.version, n.length) for n in self._networks}, reverse=True):
            shift = BITS[version] - length
            alike = (n for n in self._networks if (n.version, n.length) == (version, length))
            members = {n.value >> shift: n for n in alike}
            self._lengths[version].append((length, shift, members))

    def covering(self, network: Network) -> Network | None:
        """The most specific member that covers all of `network`."""
        value = network.value
        for length, shift, members in self._lengths[network.version]:
            if length <= network.length and (found := members.get(value >> shift)) is not None:
                return found
        return None

    def over(self, network: Network) -> Iterator[Network]:
        """The members that cover all of `network`, the widest first."""
        value, longest = network.value, network.length
        for length, shift, members in reversed(self._lengths[network.version]):
            if length > longest:
                return
            if (found := members.get(value >> shift)) is not None:
                yield found

    def inside(self, network: Network) -> list[Network]:
        """The members that lie inside `network` (itself included), in no particular order."""
        return network.those_inside(self._networks)

    def those_covered(self, networks: Iterable[Network]) -> list[Network]:
        """Those of `networks` that are covered by a member."""
        # Comparing whole bytes first excludes nearly all of a million networks in one call each.
        beginnings = tuple({member[: 1 + member[-1] // 8] for member in self._networks})
        return [one for one in networks if one.startswith(beginnings) and self.covering(one) is not None]

    def __iter__(self) -> Iterator[Network]:
        return iter(self._networks)

    def __len__(self) -> int:
        return len(self._networks)

    def __contains__(self, network: object) -> bool:
        return network in self._networks


class Ranges:
    """The addresses of many networks as disjoint ranges, to test whether a network overlaps any of them."""

    def __init__(self, networks: Iterable[Network]) -> None:
        # Per version: sorted first and last addresses of the disjoint ranges.
        self._ranges: dict[int, tuple[list[int], list[int]]] = {4: ([], []), 6: ([], [])}
        for network in sorted(networks):
            firsts, lasts = self._ranges[network.version]
            # In sorted order a network lies either inside the previous range or after it.
            first = network.value
            if not lasts or first > lasts[-1]:
                firsts.append(first)
                lasts.append(first + network.addresses - 1)

    def touch(self, network: Network) -> bool:
        """Whether any address of `network` is in one of the ranges."""
        version = network[0]
        first = last = int.from_bytes(network[1:-1], "big")
        if network[-1] != BITS[version]:
            last += network.addresses - 1
        firsts, lasts = self._ranges[version]
        before = bisect_right(firsts, last)
        return before > 0 and lasts[before - 1] >= first


_LIKE_4 = re.compile(r"(?<![\d.])(\d{1,6}(?:\.\d{0,6}){1,3})(?:/(\d{1,2})(?!\w))?", re.ASCII)
_LIKE_6 = re.compile(
    r"(?<![0-9a-f:])([0-9a-f]{1,4}(?::[0-9a-f]{0,4}){2,7})(?:/(\d{1,3})(?!\w))?", re.I | re.ASCII
)
_RANGE = re.compile(r"(?<![\d.])(\d+(?:\.\d+){3})-(\d+(?:\.\d+){3}|\d+)(?![\w.])", re.ASCII)
# The shortest prefixes that `meant` guesses.
_WIDEST = {4: 16, 6: 32}


def meant(text: str) -> list[Network]:
    """The networks that an invalid text probably means, such as `10.1.2.300`, `10.1.2` or `10.1.2.3/33`: as
    wide as its valid leading numbers allow, or as its prefix length says."""
    text = unicodedata.normalize("NFKC", text)
    found: list[Network | None] = [n for match in _RANGE.findall(text) for n in _range(*match)]
    found += [_guess(4, 10, *match) for match in _LIKE_4.findall(text)]
    found += [_guess(6, 16, *match) for match in _LIKE_6.findall(text)]
    return list(dict.fromkeys(network for network in found if network is not None))


def _range(first: str, last: str) -> list[Network]:
    """The networks from `first` to `last`, which is an address or only its last octet."""
    try:
        low = ipaddress.IPv4Address(first)
        high = ipaddress.IPv4Address(last if "." in last else f"{first.rpartition('.')[0]}.{last}")
        if 0 <= int(high) - int(low) < 1 << BITS[4] - _WIDEST[4]:
            return [Network.parse(str(n)) for n in ipaddress.summarize_address_range(low, high)]
    except ValueError:
        pass
    return []


def _guess(version: int, base: int, address: str, length: str) -> Network | None:
    bits, each = BITS[version], 8 if version == 4 else 16
    parts = address.split("." if version == 4 else ":")
    whole = [int(p, base) for p in takewhile(lambda p: p and int(p, base) < 1 << each, parts)]
    value = sum(part << bits - each * place for place, part in enumerate(whole, start=1))
    known = each * len(whole)
    if known < _WIDEST[version]:
        return None
    if length and int(length) <= bits and (known == bits or int(length) <= known):
        return Network(version, value, bits).supernet(int(length))
    if known == bits:
        # A complete address that ends in zeros is probably meant as a network.
        known -= each * len(list(takewhile(lambda part: not part, reversed(whole))))
    return Network(version, value, bits).supernet(max(known, _WIDEST[version]))
