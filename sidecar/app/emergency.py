"""The way out without a service: our routes and rules leave the kernel, and stay away until `resume`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sidecar.app.configuration import directories
from sidecar.app.enforcer import mark
from sidecar.kernel.routes import TABLE, RoutingTable
from sidecar.model import ZmbanError
from sidecar.settings import KernelSettings, load

# An earlier run may have written into another table than the settings name now.
MAIN: Literal["main"] = "main"


def flush(config: Sequence[str], state: Path) -> int:
    """How many routes were removed. Works with a broken configuration too: then with the default table."""
    kernel = KernelSettings()
    with contextlib.suppress(ZmbanError):
        kernel = load(directories(config)).kernel
    # First the word: a service that starts this very moment must not write again what goes now.
    mark(state)
    removed = 0
    for name in dict.fromkeys((kernel.table, TABLE, MAIN)):
        with contextlib.closing(RoutingTable(name, preference=kernel.preference)) as table:
            removed += table.flush().removed
    return removed
