"""The table of ban backends. A new backend is a class in this room and a line here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from sidecar.kernel.backend import BanBackend
from sidecar.kernel.dry_run import DryRunBackend
from sidecar.kernel.route.route_backend import RouteBackend
from sidecar.settings import KernelSettings

DRY_RUN = "dry-run"


def _dry_run(kernel: KernelSettings) -> DryRunBackend:
    def flush_left() -> int:
        with contextlib.closing(RouteBackend(kernel)) as routes:
            return routes.flush()

    return DryRunBackend(flush_left)


# By the names that `[kernel] backend` may have: settings.schema.Backend lists the same, and a test compares
# them.
BACKENDS: dict[str, Callable[[KernelSettings], BanBackend]] = {
    "route": RouteBackend,
    DRY_RUN: _dry_run,
}


def make(kernel: KernelSettings, name: str | None = None) -> BanBackend:
    """The backend of this name, by default the one that the settings name. KernelError if it cannot be
    opened."""
    return BACKENDS[name or kernel.backend](kernel)
