"""Signal handling of the service, in a dedicated thread, so that a busy event loop never delays a stop."""

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
# Signals without effect, with the text for the log; SIGHUP only until `on_hangup`.
_IGNORED = {
    signal.SIGHUP: "ignored while starting; the current configuration is being read",
    signal.SIGUSR1: "ignored; zmban logs to standard error and has no log file to reopen",
    signal.SIGUSR2: "ignored",
}


class Signals:
    """Blocks the signals in all other threads and waits for them in its own.

    The first TERM, INT or QUIT stops the service; later ones are ignored. Before `on_stop` is called, a stop
    signal ends the process at once; this is as safe as a kill. HUP reloads the configuration. Other signals
    are logged and ignored.
    """

    def __init__(self) -> None:
        self._stop: Callable[[], None] | None = None
        self._reload: Callable[[], None] | None = None
        self._stop_seconds: Seconds = 0.0
        self._socket: Path | None = None
        self._stopping = False
        numbers = {*_STOP, *_IGNORED}
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        threading.Thread(target=self._wait, args=(numbers,), name="signals", daemon=True).start()

    def on_stop(self, stop: Callable[[], None], within: Seconds, socket: Path) -> None:
        """Call `stop` in the signal thread when a stop signal arrives. If the process still runs after
        `within`, remove its control socket and end the process."""
        self._stop_seconds, self._socket, self._stop = within, socket, stop

    def on_hangup(self, reload: Callable[[], None]) -> None:
        """Call `reload` in the signal thread when SIGHUP arrives."""
        self._reload = reload

    def _wait(self, numbers: set[signal.Signals]) -> None:
        while True:
            number = signal.Signals(signal.sigwait(numbers))
            if number in _STOP:
                self._begin_stop(number)
            elif number == signal.SIGHUP and self._reload is not None:
                with contextlib.suppress(RuntimeError):
                    self._reload()
            else:
                _log.warning("%s: %s", number.name, _IGNORED[number])

    def _begin_stop(self, number: signal.Signals) -> None:
        if self._stopping:
            return
        self._stopping = True
        stop = self._stop
        if stop is None:
            _log.info("%s while starting: stopped; routes written so far are kept", number.name)
            leave(0)
        threading.Thread(target=self._enforce_limit, name="stop limit", daemon=True).start()
        # RuntimeError: the event loop is closed already.
        with contextlib.suppress(RuntimeError):
            stop()

    def _enforce_limit(self) -> None:
        time.sleep(self._stop_seconds)
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)
        _log.warning(
            "stop aborted after %g s; nothing is lost: uncommitted work is read again from the logs",
            self._stop_seconds,
        )
        leave(0)


def leave(code: int) -> NoReturn:
    """End the process at once with os._exit, without joining threads or freeing memory. The caller must have
    committed all state."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)
