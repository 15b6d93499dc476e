"""The clock behind the time budget of a regex: a timer of CPU time that ticks while the process works.

Python's regex engine looks for signals while it searches, so a handler that raises breaks a search off. The
timer counts CPU time: a machine that is slow makes no regex slow, and an idle process has no ticks.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sidecar.detect.match.time_budget import WATCH
from sidecar.model import Seconds

# A search that sees two ticks is broken off: after one to two times this.
TICK: Seconds = 0.02


def ticking() -> bool:
    """Whether a regex that this thread begins now would be broken off in time."""
    return _in_main_thread() and signal.getitimer(signal.ITIMER_VIRTUAL)[0] > 0


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def kept() -> Iterator[None]:
    """Within this, no regex of the main thread works on one line for longer than two ticks. In another
    thread, and within itself, it changes nothing."""
    if ticking() or not _in_main_thread():
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
