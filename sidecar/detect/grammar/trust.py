"""Which of the addresses in a line is the client: the right-most that is no proxy of ours."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.network import Network, PrefixSet


class Trust:
    """The proxies whose word about a client's address is believed. Loopback always is."""

    def __init__(self, proxies: Iterable[Network]) -> None:
        self._named = (*proxies, Network.parse("127.0.0.0/8"), Network.parse("::1"))
        self._proxies = PrefixSet(self._named)

    def believe(self, networks: Iterable[Network]) -> None:
        """From now on these are proxies too, beside those that were named: the host, its containers."""
        self._proxies = PrefixSet([*self._named, *networks])

    def is_proxy(self, text: str) -> bool:
        """Whether this address is a trusted proxy; text that is no address is none."""
        try:
            return self._proxies.covering(Network.parse(text)) is not None
        except ValueError:
            return False

    def client(self, elements: Iterable[str]) -> tuple[str | None, str | None]:
        """(client, None), or (None, proxy) where a client is hidden behind a proxy of ours: walk from the
        right past trusted proxies. (None, None) where an element on the way is no address."""
        masked: str | None = None
        for element in reversed([e.strip() for e in elements]):
            try:
                Network.parse(element)
            except ValueError:
                return None, None
            if not self.is_proxy(element):
                return element, None
            masked = masked or element
        return None, masked
