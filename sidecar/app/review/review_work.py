"""Has logs counted and reports built, in a process beside the service."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any

from sidecar.app.active import ActiveConfiguration
from sidecar.app.ingest.log_manager import LogManager
from sidecar.app.protect.protection import Protection
from sidecar.app.review.decision_recorder import DecisionRecorder
from sidecar.app.runtime_options import RuntimeOptions
from sidecar.host import side_process
from sidecar.host.side_process import SideProcessError
from sidecar.model import Instant, Seconds
from sidecar.sources.plain_blocks import is_plain

_log = logging.getLogger("zmban.review")

_WORKER = "sidecar.offline.review.worker"
# A first start counts the lines of two days.
_PATIENCE: Seconds = 3600.0

More = Callable[[], Awaitable[dict[str, Any]]]


class ReviewWork:
    """One process at a time. `more` returns what only the service knows: proposals, hidden clients, health.
    `failing` says why counting fails, "" if it works."""

    def __init__(
        self, options: RuntimeOptions, active: ActiveConfiguration, logs: LogManager, protection: Protection,
        recorder: DecisionRecorder, more: More,
    ) -> None:  # fmt: skip
        self._options, self._active, self._logs = options, active, logs
        self._protection, self._recorder, self._more = protection, recorder, more
        self._turn = asyncio.Lock()
        self.failing = ""

    async def count(self) -> None:
        """Count what is new in the logs. A periodic job."""
        if self._turn.locked() or not self._logs.logs:
            return
        try:
            answer = await self._asked("count")
        except SideProcessError as error:
            self._tell(str(error))
        else:
            self._tell("; ".join(answer["faults"]))

    async def report(self, day: str) -> dict[str, Any]:
        """The report of a day, up to now. SideProcessError if it cannot be built."""
        more = await self._more()
        more["silent_jails"] = self._recorder.silent_jails()
        return await self._asked("report", day=day, decisions=self._recorder.decisions(day), more=more)

    async def _asked(self, work: str, **arguments: Any) -> dict[str, Any]:
        request = {
            "do": work,
            "state": str(self._options.state.absolute()),
            "config": [str(Path(one).absolute()) for one in self._active.loaded.given],
            "zone": None,
            # The logs of containers are not counted.
            "logs": [(path, log.scanner.log) for path, log in self._logs.logs.items() if is_plain(path)],
            "ours": [str(network) for network in self._protection.guard.throws()],
            "today": today(time.time()),
            **arguments,
        }
        async with self._turn:
            return await side_process.asked(_WORKER, request, _PATIENCE)

    def _tell(self, failing: str) -> None:
        if failing and failing != self.failing:
            _log.error("daily review: %s", failing)
        self.failing = failing

    def doubts(self) -> tuple[str, ...]:
        """Why counts may be incomplete."""
        return (f"daily review: {self.failing}",) if self.failing else ()


def today(now: Instant) -> str:
    """The day in the zone of the host."""
    return date.fromtimestamp(now).isoformat()
