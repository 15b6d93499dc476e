"""The timer behind the time budget of a regex. It counts CPU time of the process.

The regex engine of Python checks for signals during a search, so a handler that raises ends the search. CPU
time, so that a busy host does not make a regex slow, and an idle process has no ticks.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sidecar.detect.match.time_budget import WATCH
from sidecar.model import Seconds

# A search ends at its second tick, after one to two times this.
TICK: Seconds = 0.02


def is_limited() -> bool:
    """Whether a regex in this thread has a time budget now."""
    return _in_main_thread() and signal.getitimer(signal.ITIMER_VIRTUAL)[0] > 0


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def limited() -> Iterator[None]:
    """Limit each regex search of the main thread to two ticks per line. No effect in other threads and if
    nested."""
    if is_limited() or not _in_main_thread():
        yield
        return

    def tick(_number: int, _frame: FrameType | None) -> None:
        WATCH.tick()

    before = signal.signal(signal.SIGVTALRM, tick)
    signal.setitimer(signal.ITIMER_VIRTUAL, TICK, TICK)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
