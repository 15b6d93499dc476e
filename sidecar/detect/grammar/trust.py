"""Finds the client among the addresses of a line: the right-most one that is no trusted proxy.

A client may send an X-Forwarded-For of its own, so no regex can capture the right element of `oip`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sidecar.detect.grammar.addresses import address, canonical
from sidecar.network import Network, PrefixSet

_LOOPBACK = (Network.parse("127.0.0.0/8"), Network.parse("::1"))
# Not routed on the Internet: private, carrier-grade NAT, link-local, unique local.
_PRIVATE = tuple(
    Network.parse(text)
    for text in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    )
)


class Blamed(NamedTuple):
    """The client or proxy of a line; the fields are those of `LineFacts`."""

    client: str | None = None
    masked: str | None = None
    relay: str | None = None
    named: str = ""


class Trust:
    """The trusted proxies (loopback always is one), and our own networks (`inside`), where there may be
    proxies that are not configured."""

    def __init__(self, proxies: Iterable[Network], inside: Iterable[Network] = ()) -> None:
        self.named = tuple(proxies)
        self.trust_also((), inside)

    def trust_also(self, proxies: Iterable[Network], inside: Iterable[Network]) -> None:
        """Set the proxies that are trusted beside the configured ones (the host, its containers), and our own
        networks beside the private ones."""
        self._proxies = PrefixSet([*self.named, *_LOOPBACK, *proxies])
        # Replaced as a whole, never changed.
        self.internal = PrefixSet([*_PRIVATE, *inside])

    def trusts(self, network: Network) -> bool:
        """Whether this is a trusted proxy."""
        return self._proxies.covering(network) is not None

    def inside(self, network: Network) -> bool:
        """Whether this is on one of our networks, where a peer that forwards for others may be a proxy."""
        return self.internal.covering(network) is not None

    def is_proxy(self, text: str) -> bool:
        """Whether `text` is the address of a trusted proxy."""
        found = address(text)
        return found is not None and self.trusts(found)

    def blamed(self, elements: Sequence[str], *, relays: bool = False) -> Blamed:
        """The client of a chain of addresses, the peer last: the right-most that is no trusted proxy.

        There is none if an element on the way is no address, or if all are trusted proxies (`masked`). An
        address on one of our networks that is no trusted proxy but names others before itself (or `relays`,
        as the line shows otherwise) is a suspected proxy (`relay`): it is not blamed for its clients.
        """
        masked: str | None = None
        for place in range(len(elements) - 1, -1, -1):
            element = elements[place].strip()
            found = address(element)
            if found is None:
                return Blamed()
            if not self.trusts(found):
                others = [other for other in elements[:place] if address(other) != found]
                if (others or relays) and self.inside(found):
                    named = address(others[-1]) if others else None
                    return Blamed(relay=found.address, named=named.address if named else "")
                return Blamed(canonical(element))
            masked = masked or canonical(element)
        return Blamed(masked=masked)

    def speaks(self, peer: str, named: str) -> Blamed:
        """The client of a peer that sent a PROXY protocol header with the client `named`: on one of our
        networks it is a suspected proxy, elsewhere a client that imitates one."""
        found = address(peer)
        if found is None or self.trusts(found) or not self.inside(found):
            return Blamed(peer)
        client = address(named)
        return Blamed(relay=found.address, named=client.address if client else "")
