"""Long logs are looked through ahead of who reads them, by processes of their own: each takes its parts of a
log, and the lines that any regex could match come back in order."""

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
from typing import IO

from sidecar.detect.prefilter.prefilter import Prefilter, Sifted
from sidecar.model import SourceError

# Small enough for a processor's own cache: what was read is still there when it is scanned.
_BLOCK = 1 << 18
# No line is longer; what is, is cut.
_LONGEST = 1 << 20
_PART = 1 << 23
# Shorter logs are read before a process has begun.
_SHORT = 1 << 26
_MOST_PROCESSES = 4
# So much waits for who reads, beside the part that each process has at hand.
_PIPE = 1 << 20


def processes(logs: Iterable[str]) -> int:
    """How many may look through each long one of these logs; with less than two it is looked through as it is
    read."""
    long = sum(_size(log) > _SHORT for log in logs)
    return min(len(os.sched_getaffinity(0)), _MOST_PROCESSES) // max(long, 1)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def prefiltered(path: str, prefilter: Prefilter, count: int) -> Iterator[Sifted]:
    """What counts of a log, part by part, by so many processes. SourceError where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                raise SourceError(f"{path} is packed; zcat it into a file first")
            size = os.fstat(file.fileno()).st_size
            if count > 1 and size > _SHORT:
                yield from _by_processes(path, prefilter, count, size)
                return
            for data in _blocks(file, 0, None):
                yield prefilter.sift(data)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error


def _by_processes(path: str, prefilter: Prefilter, count: int, size: int) -> Iterator[Sifted]:
    # Forked, since what Hyperscan compiled cannot be sent; and no pool, whose threads would wait for the
    # interpreter while it works on what they brought.
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
                raise SourceError(
                    f"{path}: a process that looked through it was killed; is there too little memory?"
                ) from None
            if got is None:
                return
            if isinstance(got, SourceError):
                raise got
            yield got


def _look(out: Connection, path: str, prefilter: Prefilter, size: int, number: int, count: int) -> None:
    """What one process does: from its number on every so manieth part; None where there is no more."""
    # A person's Ctrl-C is for who started us, and who ends us.
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
    """Where parts of whole lines begin and end; the last one ends with the file, wherever that is by then."""
    begin = 0
    while begin + _PART + _LONGEST < size:
        file.seek(begin + _PART)
        if not file.readline(_LONGEST).endswith(b"\n"):
            # Nobody's line: it is left to the one that reads the rest.
            break
        end = file.tell()
        yield begin, end
        begin = end
    yield begin, None


def _blocks(file: IO[bytes], begin: int, end: int | None) -> Iterator[bytes]:
    """A part of a file in blocks of whole lines; the last line is completed by a newline if it has none, and
    one that is too long for any memory is cut."""
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
