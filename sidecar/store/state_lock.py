"""The lock on the state directory, so that no two processes use one state."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from sidecar.model import ConfigError

_log = logging.getLogger("zmban.store")


@contextlib.contextmanager
def claimed(state: Path) -> Iterator[None]:
    """Hold the state directory for this process alone. ConfigError if another process holds it.

    The directory itself is locked (flock), which also works on a read-only file system. If there is no
    directory and none can be created, there is no shared state and nothing is locked.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _log.error("cannot create %s: %s", state, error.strerror)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            descriptor = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            if not _locked(descriptor):
                raise ConfigError(f"{state}: another zmban works with this state; stop it, or use --state")
        yield


def _locked(descriptor: int) -> bool:
    """Lock a directory; False if another process holds the lock. True on a file system without locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        _log.warning("state directory not locked (%s): a second zmban on it would not be detected", error)
    return True
