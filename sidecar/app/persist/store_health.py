"""The state of the database, for `status` and the metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.app.persist.upkeep import DatabaseUpkeep
from sidecar.serve.metrics import Metrics
from sidecar.store import migrations
from sidecar.store.database import FILE
from sidecar.store.repair import damage, version_copy


class StoreHealth:
    """`state` is the directory of the database."""

    def __init__(
        self, state: Path, commit_queue: CommitQueue, upkeep: DatabaseUpkeep, metrics: Metrics
    ) -> None:
        self._file, self._commit_queue, self._upkeep = state / FILE, commit_queue, upkeep
        gauge, file = metrics.store_failing, self._file
        gauge.labels("unwritten").set_function(lambda: float(commit_queue.failing is not None))
        gauge.labels("set-aside").set_function(lambda: float(len(damage.aside(file))))
        gauge.labels("salvage").set_function(lambda: float(len(commit_queue.salvages)))
        gauge.labels("upkeep").set_function(lambda: float(upkeep.failing is not None))
        metrics.log_bytes.set_function(lambda: float(commit_queue.database.log_bytes()))
        metrics.database_bytes.set_function(lambda: float(commit_queue.database.bytes()))

    def sentence(self) -> str:
        """`good`, or a sentence about the problem."""
        if self._commit_queue.failing:
            return self._commit_queue.failing
        if self._upkeep.compacting:
            return "good; it is being compacted: bans are enforced at once, and saved afterwards"
        for salvage in self._commit_queue.salvages:
            done = salvage.progress()
            read = f"page {done['pages_read']} of {done['pages']}, table {done['table']}"
            return f"good; salvage of the damaged {salvage.path} is running ({read}); {salvage.found}"
        if self._upkeep.failing:
            return f"good; but its upkeep failed: {self._upkeep.failing}"
        if later := version_copy.set_aside(self._file, migrations.newest()):
            return f"good; {later[-1]}"
        aside = damage.aside(self._file)
        return f"good; a damaged one was set aside as {aside[-1]}" if aside else "good"

    def progress(self) -> list[dict[str, Any]]:
        """The progress of each salvage."""
        return [salvage.progress() for salvage in self._commit_queue.salvages]
