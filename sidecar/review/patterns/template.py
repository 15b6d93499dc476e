"""A template: the words that lines of one pattern share, a marker for those that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sidecar.model import Instant
from sidecar.review.patterns.distinct_clients import DistinctClients
from sidecar.review.patterns.reading.dissection import Parts, is_whole
from sidecar.review.patterns.reading.masking import REST, TAIL, WORD

_MOST_SAMPLES = 10
# The longest line that is kept as a sample; of a longer one only this much is kept, and one character more.
LONGEST_SAMPLE = 2000
# A word that differs costs as much of the likeness: one of letters only may be what the line is about.
_COSTS = {True: 2.0, False: 1.0}


class Sample(NamedTuple):
    """A line, with its secrets cut, and the client that the server names in it."""

    line: str
    client: str
    at: Instant | None


@dataclass(slots=True)
class LineTemplate:
    """The words of similar lines, with the count of these lines, their clients, times and some of them."""

    parts: Parts
    count: int = 0
    clients: DistinctClients = field(default_factory=DistinctClients)
    first: Instant | None = None
    last: Instant | None = None
    samples: list[Sample] = field(default_factory=list)

    def likeness(self, words: Sequence[str]) -> float:
        """From 0 to 1, for words of the same number."""
        cost = 0.0
        for mine, other in zip(self.parts.words, words, strict=True):
            if mine != other and mine != WORD and other != WORD:
                cost += _COSTS[mine.strip(".,:;()").isalpha() and other.strip(".,:;()").isalpha()]
        return 1.0 - cost / max(len(words), 1)

    def covers(self, words: Sequence[str]) -> bool:
        """Whether words of the same number have nothing that differs."""
        return all(mine in (WORD, other) for mine, other in zip(self.parts.words, words, strict=True))

    def widen(self, words: Sequence[str]) -> None:
        """Put a marker for the words that differ from these; behind the shorter one, for the rest."""
        mine = self.parts.words
        wide = [_common(one, other) for one, other in zip(mine, words, strict=False)]
        if len(mine) != len(words) or REST in wide:
            wide = [*wide[: wide.index(REST)], REST] if REST in wide else [*wide, REST]
        self.parts = self.parts._replace(words=tuple(wide))

    def see(self, at: Instant | None, client: str, count: int) -> None:
        """Count lines of a client."""
        self.count += count
        self.clients.add(client)
        self._between(at, at)

    def _between(self, first: Instant | None, last: Instant | None) -> None:
        if first is not None and last is not None:
            self.first = first if self.first is None else min(self.first, first)
            self.last = last if self.last is None else max(self.last, last)

    def wants(self, line: str, client: str) -> bool:
        """Whether this line is worth keeping as a sample. Half of the places are for clients not shown
        yet."""
        if len(self.samples) >= _MOST_SAMPLES:
            return False
        known = any(one.client == client for one in self.samples)
        if known and len(self.samples) >= _MOST_SAMPLES // 2:
            return False
        return not any(one.line == line for one in self.samples)

    def keep(self, sample: Sample) -> None:
        """Keep a sample, if it is wanted."""
        if self.wants(sample.line, sample.client):
            self.samples.append(sample)

    def absorb(self, other: LineTemplate) -> None:
        """Take the lines of another template over."""
        self.count += other.count
        self.clients.join(other.clients)
        self._between(other.first, other.last)
        for sample in other.samples:
            self.keep(sample)

    def dumped(self) -> dict[str, Any]:
        """The template as JSON."""
        return {
            "kind": self.parts.kind,
            "head": list(self.parts.head),
            "words": list(self.parts.words),
            "count": self.count,
            "clients": self.clients.dumped(),
            "first": self.first,
            "last": self.last,
            "samples": [list(sample) for sample in self.samples],
        }

    @classmethod
    def loaded(cls, record: dict[str, Any]) -> LineTemplate:
        """From what `dumped` returned. ValueError, KeyError or TypeError if it is something else."""
        words = [str(word) for word in (*record["head"], *record["words"])]
        head = len(record["head"])
        parts = Parts(str(record["kind"]), tuple(words[:head]), tuple(words[head:]))
        if not is_whole(parts):
            raise ValueError("no parts of a line")
        found = cls(parts, int(record["count"]), DistinctClients.loaded(record["clients"]))
        found._between(_number(record["first"]), _number(record["last"]))
        for line, client, at in record["samples"][:_MOST_SAMPLES]:
            found.keep(Sample(str(line)[: LONGEST_SAMPLE + 1], str(client), _number(at)))
        return found


def _common(one: str, other: str) -> str:
    if one == other:
        return one
    if REST in (one, other):
        return REST
    # The tail follows the last word without a blank.
    tail = TAIL if one.endswith(TAIL) and other.endswith(TAIL) else ""
    return REST if TAIL in one + other and not tail else WORD + tail


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
