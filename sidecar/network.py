"""The ground floor: IPv4 and IPv6 networks, and sets of them."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from socket import AF_INET, AF_INET6, inet_pton
from typing import NamedTuple

BITS = {4: 32, 6: 128}
# Without the detours of NamedTuple and int: they are asked for each attacker's address.
_made, _number = tuple.__new__, int.from_bytes


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
        if quick := _quickly(text):
            return quick
        address, slash, length = text.strip().strip("[]").partition("/")
        parsed = _parse(address)
        return parsed.supernet(_length(length, parsed)) if slash else parsed

    def unit(self, ipv4_prefix: int = 32, ipv6_prefix: int = 64) -> Network:
        """The network that is banned for this attacking address: the address itself, or an IPv6 prefix."""
        if self.version == 4:
            return self if self.length <= ipv4_prefix else self.supernet(ipv4_prefix)
        # Behind a translator each address is one IPv4 client of its own.
        return self if self.length <= ipv6_prefix or _TRANSLATED.covers(self) else self.supernet(ipv6_prefix)

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


def _quickly(text: str) -> Network | None:
    """An address in plain form, as on every line of an attack; None for anything else."""
    try:
        return _made(Network, (4, _number(inet_pton(AF_INET, text), "big"), 32))
    except (OSError, ValueError):
        pass
    try:
        value = _number(inet_pton(AF_INET6, text), "big")
    except (OSError, ValueError):
        return None
    return Network(4, value & 0xFFFFFFFF, 32) if value >> 32 == 0xFFFF else Network(6, value, 128)


def _parse(text: str) -> Network:
    if quick := _quickly(text):
        return quick
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


class Ranges:
    """All addresses of many networks, for the one question whether a network has any of them."""

    def __init__(self, networks: Iterable[Network]) -> None:
        # For each version disjoint ranges in order: their first and their last addresses.
        self._ranges: dict[int, tuple[list[int], list[int]]] = {4: ([], []), 6: ([], [])}
        for network in sorted(networks):
            firsts, lasts = self._ranges[network.version]
            # A network lies inside the one before, or behind it.
            if not lasts or network.value > lasts[-1]:
                firsts.append(network.value)
                lasts.append(network.value + network.addresses - 1)

    def touch(self, network: Network) -> bool:
        """Whether any address of `network` is among these."""
        version, first, length = network
        firsts, lasts = self._ranges[version]
        before = bisect_right(firsts, first + (1 << BITS[version] - length) - 1)
        return before > 0 and lasts[before - 1] >= first
