"""Builds the report of each day at a set time, keeps it as a file, and tells of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sidecar.app.active import ActiveConfiguration
from sidecar.app.notify.message_queue import MessageQueue
from sidecar.app.persist.memos import Memos
from sidecar.app.review import report_message
from sidecar.app.review.report_files import ReportFiles
from sidecar.app.review.review_work import ReviewWork
from sidecar.model import Instant, Seconds, ZmbanError
from sidecar.threads import run_detached

_log = logging.getLogger("zmban.review")

# Memo: the last day whose report was told.
_KIND, _KEY = "review", "told"
_TRY_AGAIN: Seconds = 600.0


class DailyReport:
    """`look` is called every minute. A report is noted as told in the commit that queues its message, so it
    is told once, also over a restart."""

    def __init__(
        self, active: ActiveConfiguration, state: Path, work: ReviewWork, memos: Memos, queue: MessageQueue,
        clock: Callable[[], Instant] = time.time,
    ) -> None:  # fmt: skip
        self._active, self._state, self._work = active, state, work
        self._memos, self._queue, self._clock = memos, queue, clock
        self._next_try = 0.0
        self.failing = ""

    @property
    def files(self) -> ReportFiles:
        """Where reports are kept."""
        directory = self._active.settings.report.directory
        return ReportFiles(Path(directory) if directory else self._state / "reports")

    async def look(self) -> None:
        """Build and tell the report of yesterday, once its time has come."""
        now = self._clock()
        yesterday = (date.fromtimestamp(now) - timedelta(days=1)).isoformat()
        told = self._memos.of(_KIND).get(_KEY)
        if told is None:
            # The days before zmban was here are nobody's business.
            self._memos.put(_KIND, _KEY, yesterday)
            return
        at = self._active.settings.report.at
        if not at or f"{datetime.fromtimestamp(now):%H:%M}" < at or (told.value or "") >= yesterday:
            return
        if now < self._next_try or not self._targets_are_known():
            return
        try:
            report = await self.build(yesterday)
        except ZmbanError as error:
            self._next_try = now + _TRY_AGAIN
            self._tell(str(error))
            return
        self._tell("")
        self.send(report)
        self._memos.put(_KIND, _KEY, yesterday)

    def _targets_are_known(self) -> bool:
        notify = self._active.settings.notify
        configured = notify.webhooks or notify.webhooks_file or notify.mail_to
        return not configured or self._queue.targets is not None

    async def build(self, day: str) -> dict[str, Any]:
        """Build the report of a day, and keep it. SideProcessError or StoreError if that fails."""
        report = await self._work.report(day)
        await run_detached(self.files.write, report)
        return report

    async def kept(self, day: str) -> dict[str, Any]:
        """The report of a day as it was built last; built now if it never was."""
        return await run_detached(self.files.read, day) or await self.build(day)

    def send(self, report: dict[str, Any], *, always: bool = False) -> tuple[str, ...]:
        """Queue a message about a report for the targets of [notify], unless the event is not wanted. Returns
        the targets."""
        targets = self._queue.targets or ()
        if targets and (always or report_message.EVENT in self._active.settings.notify.events):
            page = str(self.files.page(str(report["report"])))
            self._queue.add(report_message.made(report, self._clock(), targets, page))
            return targets
        return ()

    def _tell(self, failing: str) -> None:
        if failing and failing != self.failing:
            _log.error("daily report: %s; trying again", failing)
        self.failing = failing

    def doubts(self) -> tuple[str, ...]:
        """Why there is no report."""
        return (*self._work.doubts(), *((f"daily report: {self.failing}",) if self.failing else ()))
