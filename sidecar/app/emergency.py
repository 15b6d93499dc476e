"""The way out without a service: our routes and rules leave the kernel, and it is noted that they stay out."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from sidecar.app.configuration import directories
from sidecar.app.enforcer import mark
from sidecar.kernel.routes import RoutingTable
from sidecar.model import ZmbanError
from sidecar.settings import KernelSettings, load


def flush(config: Sequence[str], state: Path) -> int:
    """How many routes were removed. Works with a broken configuration too: then with the default table."""
    kernel = KernelSettings()
    with contextlib.suppress(ZmbanError):
        kernel = load(directories(config)).kernel
    # First the word: a service that starts this very moment must not write again what goes now.
    mark(state)
    with contextlib.closing(RoutingTable(kernel.table, preference=kernel.preference)) as table:
        return table.flush().removed
