"""Runs a function in several forked processes; their results are returned in order."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle
from multiprocessing.connection import Connection
from typing import TypeVar

from sidecar.model import SourceError

T = TypeVar("T")

# Size of the pipe of each process, which holds the results that were not asked for yet.
_PIPE = 1 << 20


def in_turn(path: str, count: int, work: Callable[[int], Iterable[T]]) -> Iterator[T]:
    """The results of `work(0)` to `work(count - 1)`, each in a process: the first ones, the second ones, and
    so on, until one has no more. SourceError of any of them, and, naming `path`, if one is killed."""
    # Forked, because a compiled Hyperscan database cannot be sent. No process pool, because its threads would
    # wait for the interpreter while results are processed.
    context = multiprocessing.get_context("fork")
    with contextlib.ExitStack() as stack:
        ends: list[Connection] = []
        for number in range(count):
            here, there = context.Pipe(duplex=False)
            fcntl.fcntl(there.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
            one = context.Process(target=_send, args=(there, work, number), daemon=True)
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
                raise SourceError(f"{path}: a reading process was killed; check the free memory") from None
            if got is None:
                return
            if isinstance(got, SourceError):
                raise got
            yield got


def _send(out: Connection, work: Callable[[int], Iterable[object]], number: int) -> None:
    """Runs in one process: sends each result, and then None."""
    # Ctrl-C is handled by the parent process, which stops this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError), out:
        try:
            for result in work(number):
                out.send(result)
            out.send(None)
        except SourceError as error:
            out.send(error)
