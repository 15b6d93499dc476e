"""Prefilters long logs in several processes. Each process takes parts of a log; the candidate lines are
returned in order."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from itertools import chain, cycle, islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Protocol

from sidecar.detect.prefilter.prefilter import Sifted
from sidecar.model import SourceError
from sidecar.sources.kinds import file_path
from sidecar.sources.plain_blocks import is_plain, plain_blocks

# Small enough for the cache of a processor: data is still there when it is scanned.
_BLOCK = 1 << 18
# Longer lines are cut.
_LONGEST = 1 << 20
_PART = 1 << 23
# Shorter logs are read before a process has started.
_SHORT = 1 << 26
_MOST_PROCESSES = 4
# Size of the pipe of each process, which also holds one part.
_PIPE = 1 << 20


class Sieve(Protocol):
    """Finds the lines that are wanted, such as `Prefilter`. It keeps nothing between blocks."""

    def sift(self, data: bytes) -> Sifted:
        """Filter a block of whole lines."""


def processes(logs: Iterable[str]) -> int:
    """The number of processes for each long log. With fewer than two, it is scanned in this process."""
    long = sum(_size(log) > _SHORT for log in logs)
    return min(len(os.sched_getaffinity(0)), _MOST_PROCESSES) // max(long, 1)


def _size(path: str) -> int:
    try:
        return os.stat(file_path(path)).st_size
    except OSError:
        return 0


def prefiltered(path: str, prefilter: Sieve, count: int) -> Iterator[Sifted]:
    """The candidate lines of a log, part by part, by `count` processes. SourceError if it cannot be read."""
    try:
        with Path(file_path(path)).open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                raise SourceError(f"{path} is compressed; decompress it into a file first")
            size = os.fstat(file.fileno()).st_size
            if count > 1 and size > _SHORT and is_plain(path):
                yield from _by_processes(path, prefilter, count, size)
                return
            for data in plain_blocks(path, _blocks(file, 0, None)):
                yield prefilter.sift(data)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error


def _by_processes(path: str, prefilter: Sieve, count: int, size: int) -> Iterator[Sifted]:
    # Forked, because a compiled Hyperscan database cannot be sent. No process pool, because its threads would
    # wait for the interpreter while results are processed.
    context = multiprocessing.get_context("fork")
    with contextlib.ExitStack() as stack:
        ends: list[Connection] = []
        for number in range(count):
            here, there = context.Pipe(duplex=False)
            fcntl.fcntl(there.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
            one = context.Process(
                target=_look, args=(there, path, prefilter, size, number, count), daemon=True
            )
            one.start()
            stack.callback(one.join)
            stack.callback(one.kill)
            stack.callback(here.close)
            there.close()
            ends.append(here)
        for end in cycle(ends):
            try:
                got = end.recv()
            except EOFError:
                raise SourceError(f"{path}: a scanning process was killed; check the free memory") from None
            if got is None:
                return
            if isinstance(got, SourceError):
                raise got
            yield got


def _look(out: Connection, path: str, prefilter: Sieve, size: int, number: int, count: int) -> None:
    """Runs in one process: sends every `count`-th part, beginning with `number`, and then None."""
    # Ctrl-C is handled by the parent process, which stops this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError), out:
        try:
            with Path(path).open("rb") as file:
                for begin, end in islice(_parts(file, size), number, None, count):
                    each = [prefilter.sift(data) for data in _blocks(file, begin, end)]
                    out.send(_together(each))
            out.send(None)
        except OSError as error:
            out.send(SourceError(f"{path} cannot be read: {error.strerror}"))


def _together(each: list[Sifted]) -> Sifted:
    candidates = list(chain.from_iterable(one.candidates for one in each))
    return Sifted(sum(one.lines for one in each), sum(one.bytes for one in each), candidates)


def _parts(file: IO[bytes], size: int) -> Iterator[tuple[int, int | None]]:
    """The offsets of parts of whole lines. The last part ends with the file, wherever that is then."""
    begin = 0
    while begin + _PART + _LONGEST < size:
        file.seek(begin + _PART)
        if not file.readline(_LONGEST).endswith(b"\n"):
            # An overlong line is left to the last part.
            break
        end = file.tell()
        yield begin, end
        begin = end
    yield begin, None


def _blocks(file: IO[bytes], begin: int, end: int | None) -> Iterator[bytes]:
    """A part of a file in blocks of whole lines. A missing newline at the end is added; an overlong line is
    cut."""
    file.seek(begin)
    while data := file.read(_BLOCK if end is None else min(_BLOCK, end - begin)):
        if not data.endswith(b"\n"):
            data += file.readline(_LONGEST)
        begin += len(data)
        if not data.endswith(b"\n"):
            data += b"\n"
            while (more := file.readline(_LONGEST)) and not more.endswith(b"\n"):
                pass
        yield data
