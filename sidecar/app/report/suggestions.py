"""Networks that a person may want to ban whole: many of their addresses were banned, each by itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sidecar.network import Network

if TYPE_CHECKING:
    from sidecar.app.service import Service

# How many banned units make a network worth a look, narrow ones first: each counts once.
_WORTH = ((4, 24, 8), (6, 56, 4), (6, 48, 8))
_MOST = 5


def proposals(banned: Iterable[Network]) -> list[tuple[Network, int]]:
    """(network, how many in it are banned) of the worst; none that is inside a ban already. Takes a second
    for a million: call it in a thread."""
    units = set(banned)
    found: list[tuple[Network, int]] = []
    for version, length, enough in _WORTH:
        beginning = 1 + length // 8
        counted = Counter(n[:beginning] for n in units if n[0] == version and n[-1] > length)
        worth = {bits: many for bits, many in counted.items() if many >= enough}
        found += [(_whole(version, bits, length), many) for bits, many in worth.items()]
        if worth:
            units = {n for n in units if n[0] != version or n[-1] <= length or n[:beginning] not in worth}
    wide = [n for n in units if n[-1] < 24 or (n[0] == 6 and n[-1] < 56)]
    free = (one for one in found if one[0] not in units and not any(w.covers(one[0]) for w in wide))
    return sorted(free, key=lambda one: (-one[1], one[0]))[:_MOST]


def covers(service: Service, network: Network, bans: int | None = None) -> dict[str, int]:
    """What a ban of this network would mean; `bans` inside it are counted here where nobody did so yet."""
    return {
        "addresses": network.addresses,
        "bans": len(service.table.inside(network)) if bans is None else bans,
        "kept_reachable": len(network.those_inside(service.enforcer.throws)),
        "good_logins": service.judge.known.inside(network, time.time()),
        "delivered_to": service.judge.peers.inside(network, time.time()),
    }


def _whole(version: int, beginning: bytes, length: int) -> Network:
    return Network.of(version, beginning[1:].ljust(4 if version == 4 else 16, b"\0"), length)
