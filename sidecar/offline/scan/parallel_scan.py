"""Prefilters long logs in several processes. Each process takes parts of a log; the candidate lines are
returned in order."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from io import BufferedReader
from itertools import chain, islice
from typing import Protocol

from sidecar.detect.prefilter.prefilter import Sifted
from sidecar.model import SourceError
from sidecar.offline.scan.forked import Workers
from sidecar.sources.files.descriptors import open_regular
from sidecar.sources.kinds import file_path
from sidecar.sources.plain_blocks import is_plain, plain_blocks
from sidecar.sources.whole_lines import LONGEST, is_compressed, whole_lines

_PART = 1 << 23
# Shorter logs are read before a process has started.
_SHORT = 1 << 26
_MOST_PROCESSES = 4


class Sieve(Protocol):
    """Finds the lines that are wanted, such as `Prefilter`. It keeps nothing between blocks."""

    def sift(self, data: bytes) -> Sifted:
        """Filter a block of whole lines."""


def processes(logs: Iterable[str]) -> int:
    """The number of processes that prefilter each long log. With fewer than two, the one that
    matches it does that too."""
    long = sum(map(_is_long, logs))
    return min(len(os.sched_getaffinity(0)), _MOST_PROCESSES) // max(long, 1)


def is_apart(path: str, count: int) -> bool:
    """Whether a log is matched in a process of its own, for the `count` that `processes` returned."""
    return count > 0 and len(os.sched_getaffinity(0)) > 1 and _is_long(path)


def _is_long(path: str) -> bool:
    try:
        return os.stat(file_path(path)).st_size > _SHORT
    except OSError:
        return False


def prefiltered(path: str, prefilter: Sieve, count: int) -> Iterator[Sifted]:
    """The candidate lines of a log, also of a compressed one, part by part, by `count` processes. SourceError
    if it cannot be read."""
    with Workers() as workers:
        yield from started(path, prefilter, count, workers)


def started(path: str, prefilter: Sieve, count: int, workers: Workers) -> Iterator[Sifted]:
    """As `prefiltered`, by processes that start at once and belong to `workers`."""
    try:
        file = file_path(path)
        in_parts = count > 1 and os.stat(file).st_size > _SHORT and is_plain(path) and not is_compressed(file)
        parts = list(_parts(file)) if in_parts else []
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    if not parts:
        return (prefilter.sift(data) for data in plain_blocks(path, whole_lines(file)))

    def every(number: int) -> Iterator[Sifted]:
        for begin, end in islice(parts, number, None, count):
            yield _together([prefilter.sift(data) for data in whole_lines(file, begin, end)])

    return workers.in_turn(path, count, every)


def _together(each: list[Sifted]) -> Sifted:
    candidates = list(chain.from_iterable(one.candidates for one in each))
    return Sifted(sum(one.lines for one in each), sum(one.bytes for one in each), candidates)


def _parts(path: str) -> Iterator[tuple[int, int | None]]:
    """The offsets of parts of whole lines. The last part ends with the file, wherever that is then."""
    begin = 0
    with BufferedReader(open_regular(path)) as file:
        size = os.fstat(file.fileno()).st_size
        while begin + _PART + LONGEST < size:
            file.seek(begin + _PART)
            if not file.readline(LONGEST).endswith(b"\n"):
                # An overlong line is left to the last part.
                break
            end = file.tell()
            yield begin, end
            begin = end
    yield begin, None
