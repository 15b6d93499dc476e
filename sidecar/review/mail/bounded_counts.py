"""Counts by key in bounded memory: the smallest counts are dropped when there are too many keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

Key: TypeAlias = str
# Longer keys are cut: a client can write an address of any length.
LONGEST_KEY = 200


class BoundedCounts:
    """Number and bytes by key. At twice `most` keys all but the `most` largest are dropped, so a key that was
    dropped and comes back is undercounted; `dropped` is how many events its figures do not hold."""

    __slots__ = ("counts", "dropped", "most", "sizes")

    def __init__(self, most: int) -> None:
        self.most, self.dropped = most, 0
        self.counts: dict[Key, int] = {}
        self.sizes: dict[Key, int] = {}

    def add(self, key: Key, number: int = 1, size: int = 0) -> None:
        """Count events of a key."""
        counts = self.counts
        if key in counts:
            counts[key] += number
        elif len(key) > LONGEST_KEY:
            self.add(f"{key[: LONGEST_KEY - 1]}…", number, size)
            return
        else:
            counts[key] = number
            if len(counts) > 2 * self.most:
                self._drop()
        if size:
            self.sizes[key] = self.sizes.get(key, 0) + size

    def _drop(self) -> None:
        # The largest by bytes stay too, since they are listed as well.
        heavy = sorted(self.sizes, key=self.sizes.__getitem__, reverse=True)[: self.most // 4]
        frequent = sorted(self.counts, key=self.counts.__getitem__, reverse=True)[: self.most - len(heavy)]
        kept = {*heavy, *frequent}
        self.dropped += sum(number for key, number in self.counts.items() if key not in kept)
        self.counts = {key: self.counts[key] for key in self.counts if key in kept}
        self.sizes = {key: size for key, size in self.sizes.items() if key in kept}

    def __len__(self) -> int:
        return len(self.counts)

    def total(self) -> int:
        """The number of all events, with those that were dropped."""
        return sum(self.counts.values()) + self.dropped

    def join(self, other: BoundedCounts) -> None:
        """Add the counts of another part."""
        for key, number in other.counts.items():
            self.add(key, number, other.sizes.get(key, 0))
        # A heavy key may have no count: the size of a message can be known later than its delivery.
        for key in other.sizes.keys() - other.counts.keys():
            self.sizes[key] = self.sizes.get(key, 0) + other.sizes[key]
        self.dropped += other.dropped

    def by_count(self, most: int) -> Iterator[tuple[Key, int, int]]:
        """The largest by number: key, number, bytes."""
        for key in sorted(self.counts, key=lambda one: (-self.counts[one], one))[:most]:
            yield key, self.counts[key], self.sizes.get(key, 0)

    def by_size(self, most: int) -> Iterator[tuple[Key, int, int]]:
        """The largest by bytes: key, number, bytes."""
        for key in sorted(self.sizes, key=lambda one: (-self.sizes[one], one))[:most]:
            yield key, self.counts.get(key, 0), self.sizes[key]

    def dumped(self) -> dict[str, Any]:
        """As JSON."""
        return {"counts": self.counts, "sizes": self.sizes, "dropped": self.dropped}

    @classmethod
    def loaded(cls, read: dict[str, Any], most: int) -> BoundedCounts:
        """The reverse of `dumped`. KeyError or TypeError if it is damaged."""
        made = cls(most)
        made.counts = {str(key): int(number) for key, number in read["counts"].items()}
        made.sizes = {str(key): int(size) for key, size in read["sizes"].items()}
        made.dropped = int(read["dropped"])
        return made
