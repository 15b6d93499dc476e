"""Whether the kernel refuses who is banned and finds the way to everybody else: asked, not believed."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from sidecar.kernel.ingress import STRANGERS
from sidecar.kernel.plan import BanBackend, Count, count
from sidecar.kernel.reading import Routes
from sidecar.kernel.routes import RouteKind
from sidecar.network import BITS, Network, Ranges

# The standing proof that our table is written and read: an address that nobody has (TEST-NET-3).
CANARY = Network.parse("203.0.113.255")
# So many of the newest bans, of any bans, and of those who must be reachable are asked for at each look.
_SAMPLE = 8
# So many faults of a kind are told.
TOLD = 3
# Until it is known that nobody else has it, the host's own is reached as a neighbour's would be.
_LINK_LOCAL = Network.parse("fe80::/10")


@dataclass(frozen=True, slots=True)
class Proof:
    """What one look at the kernel brought.

    `counts` is what stands, `rules` the families whose packets are led to our table. `let_in` are banned
    networks to which there is a way all the same, each with a sentence.
    `silent` are families in which the kernel knows no way to anybody: there, that it knows none to the banned
    proves nothing. `shut_out` must be reachable and are refused by a route that is not ours.
    """

    counts: dict[int, Count]
    rules: tuple[int, ...]
    let_in: list[tuple[Network, str]]
    silent: tuple[int, ...]
    shut_out: tuple[Network, ...]

    def doubts(self, spared: Collection[Network]) -> Iterator[str]:
        """What leaves bans standing and is wrong all the same; `spared` is who must be reachable by now."""
        for version in self.silent:
            yield f"the kernel knows a way to nobody in IPv{version}: its refusals prove nothing"
        for network in [n for n in self.shut_out if n in spared][:TOLD]:
            yield f"{network} must be reachable, and a route that is not zmban's refuses it"


def look(
    backend: BanBackend, present: Routes, newest: Iterable[Network], spared: Collection[Network]
) -> Proof:
    """Ask for the ways; takes a second for a million routes. KernelError.

    `present` is what stands, `newest` are bans that should be among those asked for, `spared` who must be
    reachable.
    """
    asked = dict.fromkeys([CANARY, *newest, *_some(present)])
    kept = list(_some(spared))
    return Proof(
        count(present),
        backend.rules_present(),
        list(_let_in(backend, asked, present, Ranges(spared))),
        tuple(v for v in backend.versions if not _anybody(backend, v, kept)),
        tuple(n for n in kept if present.get(n) is RouteKind.THROW and backend.refuses(_inside(n))),
    )


def without_canary(counts: Mapping[int, Count], present: Routes) -> dict[int, Count]:
    """What the routes of bans come to, where the canary is none of them."""
    kind, version = RouteKind.BLACKHOLE, CANARY.version
    if present.get(CANARY) is not kind:
        return dict(counts)
    around = (present.get(CANARY.supernet(length)) for length in range(CANARY.length - 1, -1, -1))
    alone = next((one for one in around if one is not None), None) is not kind
    stood = counts[version]
    left = replace(stood, routes=stood.routes - 1, addresses=stood.addresses - alone)
    return {**counts, version: left}


def _inside(network: Network) -> Network:
    """An address that a host may have: the first one of a network belongs to nobody."""
    return network if network.single else Network(network.version, network.value + 1, BITS[network.version])


def _some(networks: Collection[Network]) -> Iterator[Network]:
    first = random.randrange(max(1, len(networks) - _SAMPLE + 1))  # noqa: S311 - no secret
    return islice(networks, first, first + _SAMPLE)


def _let_in(
    backend: BanBackend, asked: Iterable[Network], present: Routes, spared: Ranges
) -> Iterator[tuple[Network, str]]:
    for network in asked:
        # Under a wide ban the first address may be one that is kept reachable.
        doubtful = not network.single and spared.touch(network)
        if present.get(network) is not RouteKind.BLACKHOLE or doubtful:
            continue
        if backend.reachable(_inside(network)):
            before = backend.rules_before(network.version)
            why = f"; the rule at {before[0]} is asked before ours" if before else ""
            yield network, f"{network} is banned, and the kernel knows a way to it{why}"


def _anybody(backend: BanBackend, version: int, kept: Iterable[Network]) -> bool:
    """Whether there is a way to anybody who is not banned: without this control a refusal is no proof."""
    others = (n for n in kept if n.version == version and n.single and not _LINK_LOCAL.covers(n))
    return any(backend.reachable(network) for network in (*STRANGERS[version], *others))
