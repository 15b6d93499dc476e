"""The message that tells of a report."""

from __future__ import annotations

from typing import Any

from sidecar.app.notify import endpoints
from sidecar.app.notify.message import Message, shown
from sidecar.delivery.delivery_error import DeliveryError
from sidecar.local_time import moment
from sidecar.model import Instant
from sidecar.review.report import day_report, html_report
from sidecar.settings import NotifySettings
from sidecar.threads import run_detached

EVENT = "report"
_LONGEST = 400


def made(report: dict[str, Any], at: Instant, targets: tuple[str, ...], page: str) -> Message:
    """A message with the summary of a report; `page` is the path of its page."""
    day = str(report["report"])
    lines = tuple(shown(line, _LONGEST) for line in day_report.summary(report))
    bans = sum(jail["bans"] for jail in report["decisions"]["jails"].values())
    item = {"event": EVENT, "day": day, "totals": report["totals"], "bans": bans}
    return Message(EVENT, at, f"review of {shown(day)}", lines=lines, items=(item,), to=targets, page=page)


async def send_now(
    settings: NotifySettings, report: dict[str, Any], at: Instant
) -> tuple[list[str], list[str]]:
    """Send a report to each target of [notify] once, without a queue. Returns the names of those that have
    it, and why others have not."""
    targets, faults = await run_detached(endpoints.found, settings)
    message = made(report, at, tuple(one.name for one in targets), "")
    page = "".join(html_report.rendered(report, moment))
    sent, failed = [], [f"[notify] {key}: {why}" for key, why in faults.items()]
    for target in targets:
        try:
            await target.send(message, f"report-{at:.0f}", page)
        except DeliveryError as error:
            failed.append(f"{target.name}: {error}")
        else:
            sent.append(target.name)
    return sent, failed
