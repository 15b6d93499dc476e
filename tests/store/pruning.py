"""Upkeep of a database as the service does it, without the pauses."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.store.database import Database
from sidecar.store.upkeep import retention, space
from sidecar.store.upkeep.retention import Limits


def prune(database: Database, limits: Limits | Mapping[str, float]) -> None:
    """Delete what these limits (or the latest times of spent failures by jail) do not keep, and give the space
    back."""
    limits = limits if isinstance(limits, Limits) else Limits(limits)
    while found := retention.overdue(database, limits):
        for some in retention.slices(found):
            retention.delete(database, some)
    retention.delete_old_positions(database)
    while space.give_back(database):
        pass
