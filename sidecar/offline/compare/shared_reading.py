"""Prefilters logs once for two replays of them, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sidecar.detect.prefilter.prefilter import Candidate, Prefilter, Sifted, Wanted
from sidecar.fail2ban.jails import JailSpec
from sidecar.offline.scan import parallel_scan

# Bytes of memory for candidate lines that are kept for the second replay. A log with more of them is read
# again: reading takes little of its time.
_MOST_KEPT = 48 << 20
# The memory of a candidate beside its text.
_OVERHEAD = 100
_MOST_REMEMBERED = 4096


class SharedReading:
    """`first` and `second` read logs as `parallel_scan.prefiltered` does, for the jails of each replay. The
    first one keeps the candidate lines of the second."""

    def __init__(
        self, first: Mapping[str, Sequence[JailSpec]], second: Mapping[str, Sequence[JailSpec]]
    ) -> None:
        self._jails = {path: (jails, second[path]) for path, jails in first.items() if path in second}
        self._kept: dict[str, list[Sifted]] = {}
        self._free = _MOST_KEPT

    def first(self, path: str, prefilter: Prefilter, count: int) -> Iterator[Sifted]:
        """The candidate lines of the first replay."""
        if path not in self._jails:
            yield from parallel_scan.prefiltered(path, prefilter, count)
            return
        mine, others = self._jails[path]
        divided = _Divided(len(mine))
        kept: list[Sifted] | None = []
        size = 0
        for both in parallel_scan.prefiltered(path, Prefilter.of([*mine, *others]), count):
            one, other = divided.parts(both)
            if kept is not None:
                kept.append(other)
                more = sum(len(line) + _OVERHEAD for line, _ in other.candidates)
                size, self._free = size + more, self._free - more
                if self._free < 0:
                    kept, self._free = None, self._free + size
            yield one
        if kept is not None:
            self._kept[path] = kept

    def second(self, path: str, prefilter: Prefilter, count: int) -> Iterator[Sifted]:
        """The candidate lines of the second replay."""
        kept = self._kept.pop(path, None)
        yield from parallel_scan.prefiltered(path, prefilter, count) if kept is None else kept


class _Divided:
    """Divides candidate lines into those of the `first` filters, and those of the others."""

    def __init__(self, first: int) -> None:
        self._first = first
        # Few regexes are wanted together, so that their lists are shared by many lines.
        self._known: dict[Wanted, tuple[Wanted, Wanted]] = {}

    def parts(self, both: Sifted) -> tuple[Sifted, Sifted]:
        """The candidate lines of the first filters, and those of the others."""
        one: list[Candidate] = []
        other: list[Candidate] = []
        for line, wanted in both.candidates:
            mine, others = self._known.get(wanted) or self._divide(wanted)
            if mine:
                one.append((line, mine))
            if others:
                other.append((line, others))
        return Sifted(both.lines, both.bytes, one), Sifted(both.lines, both.bytes, other)

    def _divide(self, wanted: Wanted) -> tuple[Wanted, Wanted]:
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        first = self._first
        mine = tuple(each for each in wanted if each[0] < first)
        others = tuple((place - first, indexes) for place, indexes in wanted if place >= first)
        self._known[wanted] = mine, others
        return mine, others
