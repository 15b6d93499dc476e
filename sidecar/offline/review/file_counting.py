"""Counts whole files, long ones in several processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import reduce
from io import BufferedReader

from sidecar.model import Instant, SourceError
from sidecar.offline.review.log_tally import LogTally, Readers, TallyResult, kind_of
from sidecar.offline.scan.forked import in_turn
from sidecar.sources.files.descriptors import open_regular
from sidecar.sources.whole_lines import LONGEST, is_compressed, whole_lines

# Shorter files are counted before a process has started.
_SHORT = 1 << 25
_MOST_PROCESSES = 4

Progress = Callable[[int], None]


class FileCounting:
    """Counts files in the order given, as parts of one log after the other. `progress` is told the bytes."""

    def __init__(self, readers: Readers, now: Instant, progress: Progress = lambda _: None) -> None:
        self._readers, self._now, self._progress = readers, now, progress

    def counted(self, path: str) -> TallyResult:
        """Everything in a file. SourceError if it cannot be read."""
        try:
            size = os.stat(path).st_size
            processes = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)
            if processes < 2 or size < _SHORT or is_compressed(path):
                return self._part(path, 0, None, self._progress)
            parts = list(_parts(path, size, size // processes + 1))
        except FileNotFoundError:
            raise SourceError(f"{path} is not there") from None
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}") from None
        each = in_turn(path, len(parts), lambda number: [self._part(path, *parts[number], lambda _: None)])
        return reduce(TallyResult.joined, self._told(each, parts))

    def _told(self, each: Iterator[TallyResult], parts: list[tuple[int, int]]) -> Iterator[TallyResult]:
        for result, (begin, end) in zip(each, parts, strict=True):
            self._progress(end - begin)
            yield result

    def _part(self, path: str, begin: int, end: int | None, progress: Progress) -> TallyResult:
        """Count from one offset to another one, None: to the end."""
        tally: LogTally | None = None
        for data in whole_lines(path, begin, end):
            progress(len(data))
            tally = tally or LogTally(self._readers, kind_of(path, data), self._now)
            tally.read(data)
        return (tally or LogTally(self._readers, "", self._now)).result()


def _parts(path: str, size: int, length: int) -> Iterator[tuple[int, int]]:
    """The offsets of parts of whole lines."""
    begin = 0
    with BufferedReader(open_regular(path)) as file:
        while begin < size:
            file.seek(min(size, begin + length))
            end = begin + length + len(file.readline(LONGEST)) if begin + length < size else size
            yield begin, end
            begin = end
