"""Checks by lookups that the kernel refuses banned networks and reaches all others."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from sidecar.kernel.backend import STRANGERS, BanBackend, Count, Entries, Entry
from sidecar.kernel.plan import count
from sidecar.network import BITS, Network, Ranges

# A permanent ban of an address that no host has (TEST-NET-3). It proves that our table is consulted.
CANARY = Network.parse("203.0.113.255")
# Lookups per check: of the newest bans, of random bans, and of exempted networks.
_SAMPLE = 8
# Maximum number of reported problems of each kind.
TOLD = 3
# During duplicate address detection, the kernel routes the host's own address to the link.
_LINK_LOCAL = Network.parse("fe80::/10")


@dataclass(frozen=True, slots=True)
class Proof:
    """The result of one check.

    `listed`: the entries that the kernel listed; `counts`: their numbers. `detached`: families in which
    packets do not consult the list, with the reason. `let_in`: banned networks that are reachable, each with
    a sentence. `silent`: families in which no address is reachable, so that a refused lookup proves nothing.
    `shut_out`: exempted networks that a route of another program refuses.
    """

    listed: Entries
    counts: dict[int, Count]
    detached: Mapping[int, str]
    let_in: list[tuple[Network, str]]
    silent: tuple[int, ...]
    shut_out: tuple[Network, ...]

    def doubts(self, spared: Collection[Network]) -> Iterator[str]:
        """Problems although bans are enforced. `spared` are the networks that must be reachable now."""
        for version in self.silent:
            yield f"the kernel has no route to any IPv{version} address, so refused lookups prove nothing"
        for network in [n for n in self.shut_out if n in spared][:TOLD]:
            yield f"{network} must be reachable, but a route of another program refuses it"


def look(
    backend: BanBackend, present: Entries, newest: Iterable[Network], spared: Collection[Network],
    lacking: Collection[Network] = (),
) -> Proof:  # fmt: skip
    """Perform the lookups. Takes a second for a million entries. KernelError.

    `present` are the entries in the kernel, `newest` bans to look up in any case, `spared` the networks that
    must be reachable. The last dump was `lacking` some entries, although they are written by now: they are
    not counted, so that the metrics tell what the kernel listed.
    """
    listed = {n: entry for n, entry in present.items() if n not in lacking} if lacking else present
    asked = dict.fromkeys([CANARY, *newest, *_some(present)])
    kept = list(_some(spared))
    return Proof(
        listed,
        count(listed),
        backend.detached(),
        list(_let_in(backend, asked, present, Ranges(spared))),
        tuple(v for v in backend.versions if not _reaches_any(backend, v, kept)),
        tuple(n for n in kept if present.get(n) is Entry.EXEMPT and backend.refuses(_inside(n))),
    )


def let_in(
    backend: BanBackend, banned: Collection[Network], spared: Collection[Network]
) -> dict[Network, str]:
    """Those of these banned networks that are reachable, each with a sentence. KernelError."""
    return dict(_let_in(backend, banned, dict.fromkeys(banned, Entry.BAN), Ranges(spared)))


def without_canary(counts: Mapping[int, Count], present: Entries) -> dict[int, Count]:
    """The counts without the canary, if it is not banned itself."""
    ban, version = Entry.BAN, CANARY.version
    if present.get(CANARY) is not ban:
        return dict(counts)
    around = (present.get(CANARY.supernet(length)) for length in range(CANARY.length - 1, -1, -1))
    alone = next((one for one in around if one is not None), None) is not ban
    stood = counts[version]
    left = replace(stood, entries=stood.entries - 1, addresses=stood.addresses - alone)
    return {**counts, version: left}


def _inside(network: Network) -> Network:
    """An address that a host may have: the first address of a network is never assigned."""
    return network if network.single else Network(network.version, network.value + 1, BITS[network.version])


def _some(networks: Collection[Network]) -> Iterator[Network]:
    first = random.randrange(max(1, len(networks) - _SAMPLE + 1))  # noqa: S311 - no secret
    return islice(networks, first, first + _SAMPLE)


def _let_in(
    backend: BanBackend, asked: Iterable[Network], present: Entries, spared: Ranges
) -> Iterator[tuple[Network, str]]:
    for network in asked:
        # The first address of a wide ban may be exempted.
        doubtful = not network.single and spared.touch(network)
        if present.get(network) is not Entry.BAN or doubtful:
            continue
        why = backend.lets_through(_inside(network))
        if why is not None:
            because = f"; {why}" if why else ""
            yield network, f"{network} is banned, but the kernel has a route to it{because}"


def _reaches_any(backend: BanBackend, version: int, kept: Iterable[Network]) -> bool:
    """Whether any address that is not banned is reachable. Otherwise refused lookups prove nothing."""
    others = (n for n in kept if n.version == version and n.single and not _LINK_LOCAL.covers(n))
    return any(backend.lets_through(network) is not None for network in (*STRANGERS[version], *others))
