"""Counts distinct clients in bounded memory: exactly up to 1,000, then as an estimate."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from hashlib import blake2b

# Up to this number the count is exact; the error of the estimate beyond is some 3 %.
EXACT = 1000
_HASHES = 1 << 64


class DistinctClients:
    """The number of distinct clients: the lowest 1,000 of their hashes, which can be joined."""

    def __init__(self, hashes: Iterable[int] = ()) -> None:
        self._lowest = array("Q", sorted(set(hashes))[:EXACT])

    def add(self, client: str) -> None:
        """Count a client."""
        self._take(int.from_bytes(blake2b(client.encode(), digest_size=8).digest(), "big"))

    def _take(self, hashed: int) -> None:
        lowest = self._lowest
        if len(lowest) == EXACT and hashed >= lowest[-1]:
            return
        place = bisect_left(lowest, hashed)
        if place == len(lowest) or lowest[place] != hashed:
            lowest.insert(place, hashed)
            del lowest[EXACT:]

    def join(self, other: DistinctClients) -> None:
        """Count the clients of another count, too."""
        for hashed in other._lowest:
            self._take(hashed)

    def dumped(self) -> str:
        """The hashes, as text for JSON."""
        return b"".join(hashed.to_bytes(8, "big") for hashed in self._lowest).hex()

    @classmethod
    def loaded(cls, text: str) -> DistinctClients:
        """From what `dumped` returned. ValueError if it is something else."""
        raw = bytes.fromhex(text)
        if len(raw) % 8:
            raise ValueError("not a whole number of hashes")
        return cls(int.from_bytes(raw[i : i + 8], "big") for i in range(0, len(raw), 8))

    def __len__(self) -> int:
        if len(self._lowest) < EXACT:
            return len(self._lowest)
        return round((EXACT - 1) * _HASHES / (self._lowest[-1] + 1))
