"""Runs functions in forked processes and receives their results in order."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import cycle
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, TypeVar

from sidecar.model import SourceError

T = TypeVar("T")

# Size of the pipe of each process, which holds the results that were not asked for yet.
_PIPE = 1 << 20


class Workers:
    """Processes that end with the `with` block. Start all of them in one process: a process may receive the
    results of those that were started before it."""

    def __init__(self) -> None:
        # Forked, because a compiled Hyperscan database cannot be sent. No process pool, because its threads
        # would wait for the interpreter while results are processed.
        self._context = multiprocessing.get_context("fork")
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def in_turn(self, path: str, count: int, work: Callable[[int], Iterable[T]]) -> Iterator[T]:
        """Start a process at once for each of `work(0)` to `work(count - 1)`. The first results of each, the
        second ones, and so on, until one has no more. SourceError of any of them, and, naming `path`, if one
        is killed."""
        return _received(path, [self.start(partial(work, number)) for number in range(count)])

    def start(self, work: Callable[[], Iterable[object]]) -> Connection:
        """Start a process that sends each result of `work`, and then None."""
        here, there = self._context.Pipe(duplex=False)
        fcntl.fcntl(there.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
        one = self._context.Process(target=_send, args=(there, work), daemon=True)
        one.start()
        self._stack.callback(one.join)
        self._stack.callback(one.kill)
        self._stack.callback(here.close)
        there.close()
        return here


def _received(path: str, ends: Sequence[Connection]) -> Iterator[Any]:
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


def in_turn(path: str, count: int, work: Callable[[int], Iterable[T]]) -> Iterator[T]:
    """As `Workers.in_turn`, with workers of its own."""
    with Workers() as workers:
        yield from workers.in_turn(path, count, work)


def _send(out: Connection, work: Callable[[], Iterable[object]]) -> None:
    """Runs in one process: sends each result, and then None."""
    # Ctrl-C is handled by the parent process, which stops this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError), out:
        try:
            for result in work():
                out.send(result)
            out.send(None)
        except SourceError as error:
            out.send(error)
