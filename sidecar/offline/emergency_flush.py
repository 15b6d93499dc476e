"""`zmban flush` without a service: removes all entries of zmban, until `zmban resume` or for good."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

from sidecar.configuration.loading import directories
from sidecar.host import table_lock
from sidecar.kernel import owner, registry
from sidecar.model import ConfigError, KernelError, ZmbanError
from sidecar.settings import KernelSettings, read
from sidecar.store.state_lock import claimed
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
    kernel = _settings(config)
    # Suspend first, so that a service that starts now does not write the entries again.
    marked = SuspensionMarker(state).suspend()
    removed = remove_all(kernel)
    other = owner.holder(table_lock.number(kernel))
    if other is not None and other.counts and other.state != str(state.absolute()):
        _log.warning("another zmban, %s, writes its routes again; flush it with its own --socket", other)
    return removed, marked


def uninstall(config: Sequence[str], state: Path) -> int:
    """Remove all entries and the mark of a suspension, so that a later installation enforces its bans.
    Returns the number of removed entries. ConfigError while a service runs: it would write them again.

    Works with a broken configuration too, with default settings.
    """
    kernel = _settings(config)
    # Held until the end, so that no service starts between the flush and the removal of the mark.
    with claimed(state):
        other = owner.holder(table_lock.number(kernel))
        if other is not None and other.counts:
            raise ConfigError(f"zmban still runs and would write its routes again: {other}; stop it first")
        removed = remove_all(kernel)
        SuspensionMarker(state).resume()
    return removed


def _settings(config: Sequence[str]) -> KernelSettings:
    """The settings of [kernel], the default ones if the configuration cannot be read."""
    with contextlib.suppress(ZmbanError):
        return read(directories(config)).settings.kernel
    return KernelSettings()
