"""Finds the lines of a log that name an address of given networks, in any common spelling."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from itertools import takewhile

from sidecar.detect.prefilter import multipattern
from sidecar.detect.prefilter.multipattern import Text
from sidecar.network import Network, PrefixSet

# Whole tokens: `203.0.113.7` is not in `203.0.113.70`, `1203.0.113.7` or `203.0.113.7.example.com`. An IPv4
# address may follow a colon (`::ffff:203.0.113.7`), an IPv6 address may end with one (`2001:db8::7: why`).
_TOKEN = re.compile(
    rb"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\w)|(?<![\w.:])[0-9A-Fa-f]*+:[0-9A-Fa-f:]++(?!\w|\.\w)"
)
_LONGEST_TOKEN = 40


class AddressSearch:
    """Searches blocks of whole lines. The literals that a line must contain are searched first, all in one
    pass."""

    def __init__(self, networks: Collection[Network]) -> None:
        self._networks = PrefixSet(networks)
        texts = sorted({text for network in networks for text in _literals(network)})
        self._most = len(texts)
        self._engine = multipattern.engine(texts)

    def lines(self, data: bytes) -> Iterator[tuple[bytes, list[Network]]]:
        """Each line that names an address of the networks, in order, with these networks."""
        behind = 0
        for end, number in self._engine.hits(data):
            if end <= behind or number >= self._most:
                continue
            begin = data.rfind(b"\n", behind, end) + 1 or behind
            newline = data.find(b"\n", end)
            behind = newline + 1 if newline >= 0 else len(data)
            line = data[begin : newline if newline >= 0 else len(data)]
            if named := self.named(line):
                yield line, named

    def named(self, line: bytes) -> list[Network]:
        """Those of the networks that hold an address which this line names."""
        found: dict[Network, None] = {}
        for token in _TOKEN.findall(line):
            if len(token) <= _LONGEST_TOKEN and (address := _address(token)) is not None:
                found |= dict.fromkeys(self._networks.over(address))
        return list(found)


@lru_cache(4096)
def _address(token: bytes) -> Network | None:
    text = token.decode("ascii")
    for written in (text, text.removesuffix(":")):
        try:
            return Network.parse(written)
        except ValueError:
            continue
    return None


def _literals(network: Network) -> set[Text]:
    """The texts of which a line that names an address in this network contains at least one."""
    if network.version == 4:
        octets = [str(octet) for octet in network.packed[: network.length // 8]]
        return {Text((".".join(octets) + "." * (len(octets) < 4)).encode(), caseless=False)}
    packed = network.packed
    groups = [int.from_bytes(packed[at : at + 2], "big") for at in range(0, network.length // 16 * 2, 2)]
    # Zeros may be left out: only the groups before the first zero stand in every spelling.
    sure = list(takewhile(bool, groups))
    end = ":" * (len(sure) < 8)
    return {
        Text((":".join(format(group, form) for group in sure) + end).encode(), caseless=True)
        for form in ("x", "04x")
    }
