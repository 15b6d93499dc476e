"""Which of the addresses in a line is the client: the right-most that is no proxy of ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sidecar.detect.grammar.addresses import address, canonical
from sidecar.network import Network, PrefixSet

_LOOPBACK = (Network.parse("127.0.0.0/8"), Network.parse("::1"))
# Nobody on the Internet has an address in these: private, of a provider's NAT, link-local, unique local.
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
    """Who stands in a line, as the fields of the same names in `LineFacts`."""

    client: str | None = None
    masked: str | None = None
    relay: str | None = None
    named: str = ""


class Trust:
    """The proxies whose word about a client's address is believed, loopback always; and the networks that are
    ours (`inside`), on which a proxy may stand that nobody named."""

    def __init__(self, proxies: Iterable[Network], inside: Iterable[Network] = ()) -> None:
        self.named = tuple(proxies)
        self.believe((), inside)

    def believe(self, proxies: Iterable[Network], inside: Iterable[Network]) -> None:
        """From now on these are proxies too, beside those that were named: the host, its containers; and
        these networks are ours, beside the private ones."""
        self._proxies = PrefixSet([*self.named, *_LOOPBACK, *proxies])
        self._inside = PrefixSet([*_PRIVATE, *inside])

    def believes(self, network: Network) -> bool:
        """Whether this is a trusted proxy."""
        return self._proxies.covering(network) is not None

    def inside(self, network: Network) -> bool:
        """Whether this is on a network of ours: a peer from there that speaks for others may be a proxy."""
        return self._inside.covering(network) is not None

    def is_proxy(self, text: str) -> bool:
        """Whether this address is a trusted proxy; text that is no address is none."""
        found = address(text)
        return found is not None and self.believes(found)

    def blamed(self, elements: Sequence[str], *, relays: bool = False) -> Blamed:
        """Whom to blame for what came by way of these, the peer last: walk from the right past trusted
        proxies. Nobody where an element on the way is no address, or where only proxies are left (`masked`).

        One on a network of ours that is no trusted proxy, and names others before itself (or `relays` by what
        else the line says), is a suspected proxy: it is not blamed for what its clients do.
        """
        masked: str | None = None
        for place in range(len(elements) - 1, -1, -1):
            element = elements[place].strip()
            found = address(element)
            if found is None:
                return Blamed()
            if not self.believes(found):
                others = [other for other in elements[:place] if address(other) != found]
                if (others or relays) and self.inside(found):
                    named = address(others[-1]) if others else None
                    return Blamed(relay=found.address, named=named.address if named else "")
                return Blamed(canonical(element))
            masked = masked or canonical(element)
        return Blamed(masked=masked)

    def speaks(self, peer: str, named: str) -> Blamed:
        """Of a peer whose first words to us were those of a load balancer, of the client that it `named`: a
        suspected proxy on a network of ours, and anywhere else a client that plays one."""
        found = address(peer)
        if found is None or self.believes(found) or not self.inside(found):
            return Blamed(peer)
        client = address(named)
        return Blamed(relay=found.address, named=client.address if client else "")
