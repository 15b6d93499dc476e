"""Drops incoming packets of banned senders, where a route alone would drop only the replies.

A blackhole route applies to packets to a banned address. Packets from it are dropped by reverse-path
filtering (rp_filter, IPv4 only), or, where that is off, by one nftables rule for each interface with a
default route: drop if the kernel knows no route to the sender. There is no rule per ban, and no chain of
other programs is changed.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from sidecar.kernel.backend import STRANGERS, Way
from sidecar.kernel.facts.host_facts import unicast_routes
from sidecar.kernel.facts.links import Link, links
from sidecar.kernel.netlink.codec import TABLE_MAIN, VERSIONS
from sidecar.kernel.netlink.connection import Netlink
from sidecar.kernel.netlink.nftables import Expression, FilterTable, attribute, nested, word
from sidecar.network import Network

NAME = "zmban"
Mode = Literal["auto", "on", "off"]

_SETTINGS = Path("/proc/sys/net/ipv4/conf")
_EQUAL, _UNEQUAL = 0, 1
_IIF, _NFPROTO = 4, 15
_LINK_HEADER, _NETWORK_HEADER = 0, 1
_NFPROTOS = {4: 2, 6: 10}


class Ingress:
    """The rules that `mode` asks for: `auto` where nothing else drops, `on` everywhere, `off` nowhere.

    `ways` is how packets are dropped on each interface, as of the last `ensure`. Every method may raise
    KernelError and blocks.
    """

    def __init__(self, mode: Mode, settings: Path = _SETTINGS) -> None:
        self._mode, self._settings = mode, settings
        self._table = FilterTable(NAME)
        self._written: set[str] = set()
        self._counted: Mapping[str, int] = {}
        self.ways: tuple[Way, ...] = ()

    def ensure(self) -> int:
        """Write the rules needed now, if they are not there. Returns how many another program had removed."""
        leading = list(self._leading())
        self.ways = tuple(Way(link.name, version, self._how(link, version)) for version, link in leading)
        ruled = [one for one, way in zip(leading, self.ways, strict=True) if way.how == "rule"]
        wanted = {_comment(version, link): _rule(version, link) for version, link in ruled}
        present = self._table.counters()
        lost = len(self._written - present.keys())
        if wanted.keys() != present.keys():
            self._table.write(wanted.items())
            self._counted = {}
        self._written = set(wanted)
        return lost

    def dropped(self) -> int:
        """How many packets the rules dropped since the last call."""
        before, now = self._counted, self._table.counters()
        self._counted = now
        return sum(max(0, packets - before.get(comment, 0)) for comment, packets in now.items())

    def remove(self) -> None:
        """Delete the table."""
        self._written = set()
        if self._table.counters():
            self._table.write(())

    def _how(self, link: Link, version: int) -> Literal["rp_filter", "rule", "reply"]:
        filtered = version == 4 and self._filters(link.name)
        if self._mode == "on" or (self._mode == "auto" and not filtered):
            return "rule"
        return "rp_filter" if filtered else "reply"

    def _filters(self, name: str) -> bool:
        """Whether reverse-path filtering is on, loose or strict; the higher of the two settings applies."""
        values = []
        for place in ("all", name):
            with contextlib.suppress(OSError, ValueError):
                values.append(int((self._settings / place / "rp_filter").read_text()))
        return max(values, default=0) > 0

    def _leading(self) -> Iterator[tuple[int, Link]]:
        """The families and interfaces of default routes that apply to unmarked packets."""
        known = {link.index: link for link in links()}
        with contextlib.closing(Netlink()) as netlink:
            for version in VERSIONS.values():
                indexes = {
                    index
                    for route in unicast_routes(netlink, version)
                    if route.destination.length == 0 and route.table == TABLE_MAIN
                    for index in route.interfaces
                }
                # If the default route is for marked packets only, the rule would drop every sender.
                if indexes and any(netlink.lookup(stranger) == 0 for stranger in STRANGERS[version]):
                    yield from ((version, known[index]) for index in sorted(indexes) if index in known)


def _comment(version: int, link: Link) -> str:
    return f"IPv{version} {link.name} {link.index} {link.bridge.hex() or 'routed'}"


def _rule(version: int, link: Link) -> list[Expression]:
    """Drop packets that arrive on this interface from a sender to which no route is known."""
    steps = [*_meta(_NFPROTO, bytes((_NFPROTOS[version],))), *_meta(_IIF, struct.pack("=I", link.index))]
    if link.bridge:
        # With br_netfilter, frames between two ports pass this hook too: they are not for the bridge itself.
        steps += [_payload(_LINK_HEADER, 0, 6), _compare(_EQUAL, link.bridge)]
    if version == 4:
        steps += [
            _payload(_NETWORK_HEADER, 12, 4), _compare(_UNEQUAL, bytes(4)),
            *_outside("169.254.0.0/16", 12), *_outside("224.0.0.0/4", 16),
        ]  # fmt: skip
    else:
        steps += [
            _payload(_NETWORK_HEADER, 8, 16), _compare(_UNEQUAL, bytes(16)),
            *_outside("fe80::/10", 8), *_outside("ff00::/8", 24),
        ]  # fmt: skip
    # fib saddr oif missing
    steps += [("fib", word(1, 1) + word(2, 1) + word(3, 1 | 1 << 5)), _compare(_EQUAL, bytes(4))]
    drop = nested(2, nested(2, word(1, 0)))
    return [*steps, ("counter", b""), ("immediate", word(1, 0) + drop)]


def _meta(key: int, value: bytes) -> tuple[Expression, Expression]:
    return ("meta", word(1, 1) + word(2, key)), _compare(_EQUAL, value)


def _payload(base: int, offset: int, length: int) -> Expression:
    return "payload", word(1, 1) + word(2, base) + word(3, offset) + word(4, length)


def _compare(operation: int, value: bytes) -> Expression:
    return "cmp", word(1, 1) + word(2, operation) + nested(3, attribute(1, value))


def _outside(network: str, offset: int) -> tuple[Expression, Expression, Expression]:
    """The address at this offset of the header is not in that network."""
    parsed = Network.parse(network)
    size = len(parsed.packed)
    mask = ((1 << parsed.length) - 1 << size * 8 - parsed.length).to_bytes(size, "big")
    masked = word(1, 1) + word(2, 1) + word(3, size) + nested(4, attribute(1, mask))
    return (
        _payload(_NETWORK_HEADER, offset, size),
        ("bitwise", masked + nested(5, attribute(1, bytes(size)))),
        _compare(_UNEQUAL, parsed.packed),
    )
