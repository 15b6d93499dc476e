"""The way out without a service: our routes and rules leave the kernel, and stay away until `resume`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sidecar.configuration.loading import directories
from sidecar.host import table_lock
from sidecar.kernel import owner
from sidecar.kernel.ingress import Ingress
from sidecar.kernel.routes import TABLE, RoutingTable
from sidecar.model import KernelError, ZmbanError
from sidecar.settings import KernelSettings, read
from sidecar.store.suspension import Marker

_log = logging.getLogger("zmban.kernel")
# An earlier run may have written into another table than the settings name now.
MAIN: Literal["main"] = "main"


def remove_all(kernel: KernelSettings) -> int:
    """Every rule and route of ours out of every table that may hold some, and what drops on the way in; how
    many routes that were.

    A table that cannot be emptied does not keep the others; the last KernelError is raised at the end.
    """
    removed, failed = 0, None
    for name in dict.fromkeys((kernel.table, TABLE, MAIN)):
        try:
            with contextlib.closing(RoutingTable(name, preference=kernel.preference)) as table:
                removed += table.flush().removed
        except KernelError as error:
            _log.error("table %s: %s", name, error)
            failed = error
    try:
        Ingress("off").remove()
    except KernelError as error:
        # A kernel without nftables holds no table of ours.
        _log.info("%s", error)
    if failed is not None:
        raise failed
    return removed


def flush(config: Sequence[str], state: Path) -> tuple[int, bool]:
    """How many routes were removed, and whether the word could be left that they stay away.

    Works with a broken configuration too: then with the default table.
    """
    kernel = KernelSettings()
    with contextlib.suppress(ZmbanError):
        kernel = read(directories(config)).settings.kernel
    # First the word: a service that starts this very moment must not write again what goes now.
    marked = Marker(state).leave()
    removed = remove_all(kernel)
    other = owner.holder(table_lock.number(kernel))
    if other is not None and other.counts and other.state != str(state.absolute()):
        _log.warning("another zmban, %s, writes its routes again: flush it by its own --socket", other)
    return removed, marked
