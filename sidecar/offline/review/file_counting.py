"""Counts whole files, long ones in several processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from io import FileIO
from multiprocessing.connection import Connection

from sidecar.model import Instant, SourceError
from sidecar.offline.review.log_tally import LogTally, Readers, TallyResult, kind_of
from sidecar.sources.files import compressed
from sidecar.sources.files.disk import open_regular

_BLOCK = 1 << 18
_LONGEST = 1 << 24
# Shorter files are counted before a process has started.
_SHORT = 1 << 25
_MOST_PROCESSES = 4

Progress = Callable[[int], None]


class FileCounting:
    """Counts files in the order given, as parts of one log after the other."""

    def __init__(self, readers: Readers, now: Instant, progress: Progress = lambda _: None) -> None:
        self._readers, self._now, self._progress = readers, now, progress

    def counted(self, path: str) -> TallyResult:
        """Everything in a file. SourceError if it cannot be read."""
        try:
            with open_regular(path) as file:
                if compressed.is_packed(path):
                    with compressed.unpacking(file) as unpacked:
                        return self._part(path, unpacked.read, None)
                size = os.fstat(file.fileno()).st_size
                processes = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)
                if processes < 2 or size < _SHORT:
                    return self._part(path, file.read, None)
                return self._by_processes(path, _parts(file, size, processes))
        except FileNotFoundError:
            raise SourceError(f"{path} is not there") from None
        except compressed.BROKEN as error:
            raise SourceError(f"{path} cannot be read: {error}") from None

    def _part(self, path: str, read: Callable[[int], bytes], length: int | None) -> TallyResult:
        """Count up to `length` bytes, which end with a line; None: all."""
        tally: LogTally | None = None
        rest, left = b"", length
        while left != 0 and (data := read(_BLOCK if left is None else min(_BLOCK, left))):
            left = None if left is None else left - len(data)
            self._progress(len(data))
            if tally is None:
                tally = LogTally(self._readers, kind_of(path, data), self._now)
            whole, newline, behind = (rest + data).rpartition(b"\n")
            if newline:
                tally.read(whole + newline)
            rest = behind if len(behind) < _LONGEST else b""
        if tally is None:
            tally = LogTally(self._readers, "", self._now)
        if rest:
            tally.read(rest + b"\n")
        return tally.result()

    def _by_processes(self, path: str, parts: Sequence[tuple[int, int]]) -> TallyResult:
        # Forked: the configuration and compiled literals are there already.
        context = multiprocessing.get_context("fork")
        with contextlib.ExitStack() as stack:
            ends: list[Connection] = []
            for begin, length in parts:
                here, there = context.Pipe(duplex=False)
                one = context.Process(target=self._look, args=(there, path, begin, length), daemon=True)
                one.start()
                stack.callback(one.join)
                stack.callback(one.kill)
                stack.callback(here.close)
                there.close()
                ends.append(here)
            whole: TallyResult | None = None
            for end, (_, length) in zip(ends, parts, strict=True):
                try:
                    result = end.recv()
                except EOFError:
                    raise SourceError(
                        f"{path}: a counting process was killed; check the free memory"
                    ) from None
                if isinstance(result, SourceError):
                    raise result
                self._progress(length)
                whole = result if whole is None else whole.joined(result)
        assert whole is not None  # noqa: S101 - there is at least one part
        return whole

    def _look(self, out: Connection, path: str, begin: int, length: int) -> None:
        """Runs in one process: counts a part, and sends the result."""
        # Ctrl-C is handled by the parent process, which stops this one.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._progress = lambda _: None
        with contextlib.suppress(BrokenPipeError), out:
            try:
                with open_regular(path) as file:
                    file.seek(begin)
                    out.send(self._part(path, file.read, length))
            except OSError as error:
                out.send(SourceError(f"{path} cannot be read: {error.strerror}"))


def _parts(file: FileIO, size: int, most: int) -> list[tuple[int, int]]:
    """Offset and length of parts of whole lines."""
    return list(_whole_parts(file, size, size // most + 1))


def _whole_parts(file: FileIO, size: int, length: int) -> Iterator[tuple[int, int]]:
    begin = 0
    while begin < size:
        file.seek(min(size, begin + length))
        end = begin + length + len(file.readline(_LONGEST)) if begin + length < size else size
        yield begin, end - begin
        begin = end
    file.seek(0)
