"""The banned units, sorted by address, so that those inside a prefix are found without a search of all."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from sidecar.bans.packing import Standing
from sidecar.model import Instant, Seconds
from sidecar.network import BITS, Network

# The widest prefixes that can be searched; all units inside one are in the same bucket.
WIDEST = {4: 16, 6: 32}


class Unit(NamedTuple):
    """A banned network: when its last ban began, when its last ban ends (infinite: never), and where the
    first line of its evidence is kept."""

    network: Network
    at: Instant
    until: Instant
    place: int


class _Bucket:
    """The units of one IPv4 /16 or IPv6 /32 as columns: a million in tuples would take 150 MB more."""

    __slots__ = ("ats", "networks", "places", "untils")

    def __init__(self) -> None:
        self.networks: list[Network] = []
        self.ats, self.untils, self.places = array("d"), array("d"), array("Q")


class UnitIndex:
    """Banned networks with the times of their bans. One takes 32 bytes, plus its share of a bucket."""

    def __init__(self) -> None:
        self._buckets: dict[bytes, _Bucket] = {}

    def set(self, network: Network, bans: Collection[Standing], place: int = 0) -> bool:
        """Set the bans of a unit; none removes it. `place` is that of the first line of evidence, 0 if there
        is no new one. Returns whether its times changed."""
        if not bans:
            return self._drop(network)
        until = max(math.inf if one.due is None else one.due for one in bans)
        return self._put(Unit(network, max(one.at for one in bans), until, place))

    def _put(self, unit: Unit) -> bool:
        network = unit.network
        if network[-1] <= WIDEST[network[0]]:
            return False
        bucket = self._buckets.get(_key(network))
        if bucket is None:
            bucket = self._buckets[_key(network)] = _Bucket()
        i = bisect_left(bucket.networks, network)
        if i == len(bucket.networks) or bucket.networks[i] != network:
            bucket.networks.insert(i, network)
            bucket.ats.insert(i, unit.at)
            bucket.untils.insert(i, unit.until)
            bucket.places.insert(i, unit.place)
            return True
        bucket.places[i] = unit.place or bucket.places[i]
        if (bucket.ats[i], bucket.untils[i]) == (unit.at, unit.until):
            return False
        bucket.ats[i], bucket.untils[i] = unit.at, unit.until
        return True

    def _drop(self, network: Network) -> bool:
        bucket = self._buckets.get(_key(network))
        if bucket is None:
            return False
        i = bisect_left(bucket.networks, network)
        if i == len(bucket.networks) or bucket.networks[i] != network:
            return False
        for column in (bucket.networks, bucket.ats, bucket.untils, bucket.places):
            del column[i]
        if not bucket.networks:
            del self._buckets[_key(network)]
        return True

    def count(self, prefix: Network) -> int:
        """The number of units inside a prefix, itself excluded."""
        found = self._range(prefix)
        return found[2] - found[1] if found else 0

    def count_since(self, prefix: Network, since: Instant) -> int:
        """The number of units inside that were banned since then. Quick, to exclude most prefixes."""
        found = self._range(prefix)
        if found is None:
            return 0
        bucket, low, high = found
        return sum(map(float(since).__le__, bucket.ats[low:high]))

    def inside(self, prefix: Network) -> list[Unit]:
        """The units inside a prefix, itself excluded, in order of their addresses."""
        found = self._range(prefix)
        if found is None:
            return []
        one, low, high = found
        columns = (one.networks[low:high], one.ats[low:high], one.untils[low:high], one.places[low:high])
        return list(map(Unit, *columns))

    def prefixes(self, version: int, length: int, enough: int) -> Iterator[Network | None]:
        """All prefixes of this length with at least so many units inside. None after each bucket, so that the
        caller can pause."""
        for key in [key for key in self._buckets if key[0] == version]:
            bucket = self._buckets.get(key)
            i = 0
            while bucket is not None and i + enough <= len(bucket.networks):
                network = bucket.networks[i]
                if network[-1] <= length:
                    i += 1
                    continue
                prefix = network.supernet(length)
                high = bisect_left(bucket.networks, _behind(prefix), i)
                if high - i >= enough:
                    yield prefix
                i = high
            yield None

    def shift(self, jump: Seconds) -> None:
        """All ends move by `jump` seconds."""
        for bucket in self._buckets.values():
            bucket.untils = array("d", [until + jump for until in bucket.untils])

    def _range(self, prefix: Network) -> tuple[_Bucket, int, int] | None:
        """The bucket of a prefix, and the part of it that lies inside."""
        bucket = self._buckets.get(_key(prefix))
        if bucket is None:
            return None
        # A narrower network of the same address sorts behind the prefix.
        low = bisect_right(bucket.networks, prefix)
        return bucket, low, bisect_left(bucket.networks, _behind(prefix), low)

    def __len__(self) -> int:
        return sum(len(bucket.networks) for bucket in self._buckets.values())


def distinct(units: Iterable[Unit]) -> Iterator[tuple[Instant, Instant]]:
    """When the last ban of each distinct unit began, and when its last ban ends. `units` are in order of
    their addresses. Networks inside another one, and addresses of the same IPv6 /64, are one unit."""
    cover: Network | None = None
    at = until = 0.0
    for network, begun, end, _ in units:
        if cover is not None and cover.covers(network):
            at, until = max(at, begun), max(until, end)
            continue
        if cover is not None:
            yield at, until
        cover, at, until = network.unit(), begun, end
    if cover is not None:
        yield at, until


def _key(network: Network) -> bytes:
    return network[:3] if network[0] == 4 else network[:5]


def _behind(prefix: Network) -> bytes:
    """Bytes that sort behind all networks inside a prefix, and before all others."""
    bits = BITS[prefix[0]]
    last = prefix.value | ((1 << bits - prefix[-1]) - 1)
    return prefix[:1] + last.to_bytes(bits // 8, "big") + b"\xff"
