"""Networks that must never be banned: own addresses, gateways, trusted networks, reserved ranges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sidecar.network import Network, PrefixSet, Ranges

# Never a client that a route could block, or blocking them would break the host's own network.
_RESERVED = PrefixSet(
    Network.parse(text)
    for text in (
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::",
        "::1",
        "fe80::/10",
        "ff00::/8",
    )
)
# The shortest prefixes that may be banned by default, by version.
WIDEST = {4: 16, 6: 32}


class Guard:
    """Decides whether a network may be banned. `protected` maps a reason to its networks, `widest` a version
    to the shortest prefix that may be banned."""

    def __init__(
        self, protected: Mapping[str, Iterable[Network]], widest: Mapping[int, int] = WIDEST
    ) -> None:
        self.widest = widest
        self._protected = {reason: PrefixSet(networks) for reason, networks in protected.items()}
        self._all = PrefixSet(n for networks in self._protected.values() for n in networks)

    def refuse(self, network: Network, ignored: PrefixSet | None = None) -> str | None:
        """The reason (a label of `refused_total`) why this network must not be banned, or None.

        A network inside a protected one is refused, and one wider than the limit. A network that *contains* a
        protected one may be banned: a throw route keeps the protected one reachable.
        """
        if _RESERVED.covering(network) is not None:
            return "reserved"
        if self.covers(network):
            return next(r for r, protected in self._protected.items() if protected.covering(network))
        if ignored is not None and ignored.covering(network) is not None:
            return "ignored"
        if network.length < self.widest[network.version]:
            return "too-wide"
        return None

    def matters(self, ignored: Iterable[Network]) -> Ranges:
        """All ranges for which `refuse` or `touches` may give a result; for others only the width matters."""
        return Ranges({*_RESERVED, *self._all, *ignored})

    def covers(self, network: Network) -> bool:
        """Whether all of this network is protected."""
        return self._all.covering(network) is not None

    def touches(self, network: Network) -> bool:
        """Whether a protected network lies inside this one."""
        return bool(self._all.inside(network))

    def throws(self) -> set[Network]:
        """The networks that must stay reachable under any ban (throw routes)."""
        return set(self._all)
