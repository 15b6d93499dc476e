"""The command for the daily report."""

from __future__ import annotations

import time
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator

from sidecar.app.review.daily_report import DailyReport
from sidecar.app.review.review_work import today


def _day(text: str) -> str:
    """A date; empty for today."""
    if not text:
        return text
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a day; write YYYY-MM-DD") from None


Day = Annotated[str, AfterValidator(_day)]


class ReviewCommands:
    """Reports on request."""

    def __init__(self, daily: DailyReport) -> None:
        self._daily = daily

    async def report(self, day: Day = "", send: bool = False, fresh: bool = True) -> dict[str, Any]:
        """The report of a day up to now, and the targets that it is sent to; without `fresh` as it was built
        last."""
        wanted = day or today(time.time())
        report = await (self._daily.build(wanted) if fresh else self._daily.kept(wanted))
        sent = self._daily.send(report, always=True) if send else ()
        return {"report": report, "sent_to": list(sent), "page": str(self._daily.files.page(wanted))}
