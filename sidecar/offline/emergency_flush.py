"""`zmban flush` without a service: removes all entries of zmban from the kernel until `zmban resume`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

from sidecar.configuration.loading import directories
from sidecar.host import table_lock
from sidecar.kernel import owner, registry
from sidecar.model import KernelError, ZmbanError
from sidecar.settings import KernelSettings, read
from sidecar.store.suspension import SuspensionMarker

_log = logging.getLogger("zmban.kernel")


def remove_all(kernel: KernelSettings) -> int:
    """Flush all backends, because an earlier run may have used another one than is configured now. Returns
    the number of removed entries.

    If a backend cannot be flushed, the others still are; the last KernelError is raised at the end.
    """
    removed, failed = 0, None
    for name in registry.BACKENDS:
        if name == registry.DRY_RUN:
            continue
        try:
            with contextlib.closing(registry.make(kernel, name)) as backend:
                removed += backend.flush()
        except KernelError as error:
            failed = error
    if failed is not None:
        raise failed
    return removed


def flush(config: Sequence[str], state: Path) -> tuple[int, bool]:
    """Returns the number of removed entries, and whether enforcement could be marked as suspended.

    Works with a broken configuration too, with default settings.
    """
    kernel = KernelSettings()
    with contextlib.suppress(ZmbanError):
        kernel = read(directories(config)).settings.kernel
    # Suspend first, so that a service that starts now does not write the entries again.
    marked = SuspensionMarker(state).suspend()
    removed = remove_all(kernel)
    other = owner.holder(table_lock.number(kernel))
    if other is not None and other.counts and other.state != str(state.absolute()):
        _log.warning("another zmban, %s, writes its routes again; flush it with its own --socket", other)
    return removed, marked
