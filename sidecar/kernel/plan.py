"""Computes what must be written, in which order, and how many addresses entries refuse. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TypeAlias

from sidecar.kernel.backend import Count, Difference, Entries, Entry
from sidecar.network import BITS, Network, PrefixSet

# One step of writing a difference: whether to delete, which entry, which networks.
Step: TypeAlias = tuple[bool, Entry, Sequence[Network]]


def difference(wanted: Entries, present: Entries) -> Difference:
    """The writes that turn `present` into `wanted`."""
    if wanted == present:
        return Difference({}, {})
    # Dict against dict and set against dict take the hashes that are stored already: with 300,000 routes
    # 0.06 s for the comparison above and 0.26 s for the sets, where a lookup of each takes 0.42 s.
    absent, surplus = set(wanted).difference(present), set(present).difference(wanted)
    exempt = {n for entries in (wanted, present) for n, kind in entries.items() if kind is Entry.EXEMPT}
    turned = {n for n in exempt if n in wanted and n in present and wanted[n] is not present[n]}
    return Difference(
        add={network: wanted[network] for network in absent | turned},
        remove={network: present[network] for network in surplus | turned},
    )


def steps(change: Difference) -> Iterator[Step]:
    """The writes of a difference in their order: exemptions are added before bans and removed after them, so
    that no exempted network is ever cut off in between."""
    ban, exempt, add, remove = Entry.BAN, Entry.EXEMPT, change.add, change.remove
    yield True, ban, [network for network, kind in remove.items() if kind is ban]
    yield True, exempt, [network for network, kind in remove.items() if kind is exempt and network in add]
    yield False, exempt, [network for network, kind in add.items() if kind is exempt]
    # By family, for messages of one length are packed together.
    yield False, ban, sorted((n for n, kind in add.items() if kind is ban), key=itemgetter(0))
    yield True, exempt, [network for network, kind in remove.items() if kind is exempt and network not in add]


def covering(exempt: Iterable[Network], bans: Entries) -> set[Network]:
    """The bans that cover one of the exempt networks, or are for the same network."""
    found: set[Network] = set()
    for network in exempt:
        for length in range(network.length + 1):
            wider = network.supernet(length)
            if bans.get(wider) is Entry.BAN:
                found.add(wider)
    return found


def count(entries: Entries) -> dict[int, Count]:
    """The entries and the refused addresses of each family (4, 6); the longest matching prefix applies."""
    return {version: _counted(entries, version) for version in BITS}


def _counted(entries: Entries, version: int) -> Count:
    lengths: Counter[tuple[int, Entry]] = Counter(
        (network[-1], kind) for network, kind in entries.items() if network[0] == version
    )
    exempt = sum(number for (_, kind), number in lengths.items() if kind is Entry.EXEMPT)
    # Nothing lies inside the longest: only those around them must be put in order, and a million are not.
    longest = max((length for length, _ in lengths), default=0)
    wide = {n: kind for n, kind in entries.items() if n[0] == version and n[-1] < longest}
    addresses = _refused(wide)
    each = Network(version, 0, longest).addresses
    around = PrefixSet(wide)
    for network in around.those_covered(n for n in entries if n[0] == version and n[-1] == longest):
        refused_around = wide[around.covering(network) or network] is Entry.BAN
        # Counted with all bans below, as if nothing were around it.
        addresses -= each if refused_around else 0
    addresses += lengths[longest, Entry.BAN] * each
    return Count(sum(lengths.values()), exempt, addresses)


def _refused(wide: Entries) -> int:
    """The addresses of one family whose longest prefix is a ban."""
    total = 0
    around: list[tuple[Network, bool]] = []  # the networks around the current one, widest first
    for network in sorted(wide):
        while around and not around[-1][0].covers(network):
            around.pop()
        refused = wide[network] is Entry.BAN
        before = around[-1][1] if around else False
        if refused != before:
            total += network.addresses if refused else -network.addresses
        around.append((network, refused))
    return total
