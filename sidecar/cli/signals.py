"""The signals of the service, from its first moment to its last: a thread of their own waits for them."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from sidecar.model import Seconds

_log = logging.getLogger("zmban")
_STOP = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
_NOTHING = {
    signal.SIGHUP: "zmban is still starting, and reads the configuration as it is now",
    signal.SIGUSR1: "nothing is done: zmban writes its log to standard error, and opens no file anew",
    signal.SIGUSR2: "nothing is done",
}


class Signals:
    """Blocks them in all other threads, so that no busy loop and no library at work keeps a stop waiting.

    TERM, INT and QUIT stop the service, the first of them alone. Until there is something to end in order the
    process just ends: a kill at any moment loses nothing, so that this does not either. HUP reads the
    configuration anew. The others are told in the log, and do nothing.
    """

    def __init__(self) -> None:
        self._order: Callable[[], None] | None = None
        self._hangup: Callable[[], None] | None = None
        self._patience: Seconds = 0.0
        self._socket: Path | None = None
        self._stopping = False
        numbers = {*_STOP, *_NOTHING}
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        threading.Thread(target=self._wait, args=(numbers,), name="signals", daemon=True).start()

    def in_order(self, stop: Callable[[], None], patience: Seconds, socket: Path) -> None:
        """From now on `stop` is called, from this thread. Where that takes longer than `patience` the process
        ends all the same, and its control socket is removed."""
        self._patience, self._socket, self._order = patience, socket, stop

    def on_hangup(self, reload: Callable[[], None]) -> None:
        """From now on SIGHUP calls this, from this thread."""
        self._hangup = reload

    def _wait(self, numbers: set[signal.Signals]) -> None:
        while True:
            number = signal.Signals(signal.sigwait(numbers))
            if number in _STOP:
                self._stop(number)
            elif number == signal.SIGHUP and self._hangup is not None:
                with contextlib.suppress(RuntimeError):
                    self._hangup()
            else:
                _log.warning("%s: %s", number.name, _NOTHING[number])

    def _stop(self, number: signal.Signals) -> None:
        if self._stopping:
            return
        self._stopping = True
        order = self._order
        if order is None:
            _log.info("%s while starting: stopped; what is done so far stays", number.name)
            leave(0)
        threading.Thread(target=self._end, name="end", daemon=True).start()
        # Who has ended meanwhile needs no order.
        with contextlib.suppress(RuntimeError):
            order()

    def _end(self) -> None:
        time.sleep(self._patience)
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)
        _log.warning(
            "the stop took more than %g s and was broken off; as after a kill, nothing is lost",
            self._patience,
        )
        leave(0)


def leave(code: int) -> NoReturn:
    """End the process now. No thread that still reads something is waited for, and a million bans are not
    freed one by one; all that must outlive the process is written by then."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)
