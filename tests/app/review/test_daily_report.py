"""The report of the day before is built at its time, kept as files, and told once."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

from sidecar.app import doors
from sidecar.app.review.daily_report import DailyReport
from tests.app.notify.telling import Telling, telling
from tests.delivery.servers import Hook, hook, post

FIVE, SEVEN = (time.mktime((2026, 11, 27, hour, 0, 0, 0, 0, -1)) for hour in (5, 7))
DAY = "2026-11-26"


class Clock:
    at = FIVE

    def __call__(self) -> float:
        return self.at


@contextlib.asynccontextmanager
async def daily(root: Path, settings: str) -> AsyncIterator[tuple[Telling, DailyReport, Clock]]:
    """A service that was there the day before, and its daily report at five o'clock."""
    async with telling(root, f'events = ["report"]\n{settings}') as one:
        parts, clock = one.one.parts, Clock()
        answering = doors.answered_by(parts)
        report = DailyReport(
            parts.active, parts.options.state, answering.work, parts.memos, parts.messages, clock
        )
        parts.memos.put("review", "told", "2026-11-25")
        await one.courier.look()
        yield one, report, clock


async def test_it_is_told_once_when_its_time_has_come(tmp_path: Path) -> None:
    with hook() as target:
        async with daily(tmp_path, f'webhooks = ["{target.url()}"]\n') as (one, report, clock):
            await report.look()
            assert len(one.queue) == 0
            clock.at = SEVEN
            for _ in range(3):
                await report.look()
            assert len(one.queue) == 1
            await sent(one, target)
    [body] = target.bodies
    assert (body["event"], body["items"][0]["day"]) == ("report", DAY)
    kept = tmp_path / "state/reports"
    assert json.loads((kept / f"{DAY}.json").read_text())["report"] == DAY
    assert "<h1>Review of 2026-11-26</h1>" in (kept / f"{DAY}.html").read_text()


async def sent(one: Telling, target: Hook) -> None:
    """Deliver what waits; a message is open for others of its kind for a minute."""
    one.queue._open.clear()
    await one.told()


async def test_over_a_restart_it_is_neither_lost_nor_told_again(tmp_path: Path) -> None:
    with hook() as target:
        settings = f'webhooks = ["{target.url()}"]\n'
        async with daily(tmp_path, settings) as (one, report, clock):
            clock.at = SEVEN
            await report.look()
            assert len(one.queue) == 1
        # It was stopped before the message was sent.
        async with again(tmp_path, settings) as (one, report, clock):
            clock.at = SEVEN
            await report.look()
            assert len(one.queue) == 1
            await sent(one, target)
            assert len(one.queue) == 0
    assert len(target.bodies) == 1


@contextlib.asynccontextmanager
async def again(root: Path, settings: str) -> AsyncIterator[tuple[Telling, DailyReport, Clock]]:
    """The same service after a restart."""
    (root / "logs").rename(root / "logs-before")
    (root / "config").rename(root / "config-before")
    async with telling(root, f'events = ["report"]\n{settings}') as one:
        parts, clock = one.one.parts, Clock()
        work = doors.answered_by(parts).work
        yield (
            one,
            DailyReport(parts.active, parts.options.state, work, parts.memos, parts.messages, clock),
            clock,
        )


async def test_mail_carries_the_page_beside_the_text(tmp_path: Path) -> None:
    with post() as server:
        settings = 'mail_to = ["admin@example.com"]\nmail_from = "zmban@example.com"\n'
        settings += f'smtp = "smtp://127.0.0.1:{server.port}"\n'
        async with daily(tmp_path, settings) as (one, report, clock):
            clock.at = SEVEN
            await report.look()
            one.queue._open.clear()
            await one.told()
    [(_, mail)] = server.mails
    assert mail["Subject"].endswith("review of 2026-11-26")
    kinds = [part.get_content_type() for part in mail.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]


async def test_a_report_that_cannot_be_built_is_told_and_tried_again_later(tmp_path: Path) -> None:
    async with daily(tmp_path, 'webhooks = ["http://127.0.0.1:9/"]\n') as (one, report, clock):
        clock.at = SEVEN
        (tmp_path / "state/reports").write_text("no directory")
        await report.look()
        assert "reports" in report.failing and report.doubts()
        assert len(one.queue) == 0
        (tmp_path / "state/reports").unlink()
        await report.look()
        assert len(one.queue) == 0
        clock.at += 700
        await report.look()
        assert (report.failing, len(one.queue)) == ("", 1)


async def test_a_first_start_tells_nothing_of_the_days_before_and_an_empty_time_means_never(
    tmp_path: Path,
) -> None:
    async with daily(tmp_path, 'webhooks = ["http://127.0.0.1:9/"]\n[report]\nat = ""\n') as (
        one,
        report,
        clock,
    ):
        clock.at = SEVEN
        await report.look()
        assert len(one.queue) == 0
        one.one.parts.memos.drop("review", "told")
        await one.reload('events = ["report"]\nwebhooks = ["http://127.0.0.1:9/"]\n')
        await report.look()
        assert len(one.queue) == 0
