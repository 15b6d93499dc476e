"""Positions and time zones of logs that are long gone are forgotten, and those of no other log."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from sidecar.app.ingest import gone_logs
from sidecar.model import Position
from sidecar.store.changes import Zone
from tests.app.running import InProcess, in_process

DAY = 86400.0
# A log of a day that was deleted, and its time zone; a log without lines, of which only the zone is known.
GONE, ZONED = "/var/log/2020-01-01/mail.log", "/var/log/2020-01-02/mail.log"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with in_process(tmp_path, dry_run=True) as one:
        one.parts.logs.caught_up.set()
        named = str(tmp_path / "logs/zimbra.log")
        for path in (GONE, named):
            one.commit_queue.reached(Position(path, 7, 1, b"h", b"t"))
        one.commit_queue.add([Zone(GONE, 3600.0), Zone(ZONED, 3600.0), Zone(named, 3600.0)])
        one.parts.gone_logs._zoned.add(ZONED)
        await one.commit_queue.commit()
        yield one


async def looked(service: InProcess, monkeypatch: pytest.MonkeyPatch, days: float) -> set[str]:
    """The logs in the database after a look in so many days."""
    later = SimpleNamespace(time=lambda: time.time() + days * DAY)
    monkeypatch.setattr(gone_logs, "time", later)
    await service.parts.gone_logs.look()
    await service.commit_queue.commit()
    database = service.commit_queue.database
    assert database.positions().keys() <= database.zones().keys()
    assert service.commit_queue.positions().keys() == database.positions().keys()
    return {*database.zones()}


def gone(service: InProcess) -> set[str]:
    """The memos in the database of logs that are gone."""
    return {memo.key for memo in service.commit_queue.database.memos() if memo.kind == "gone log"}


async def test_a_log_that_is_gone_for_a_month_is_forgotten_and_one_of_logpath_never(
    service: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    (named,) = service.parts.active.jails["smtp"].logpath
    assert await looked(service, monkeypatch, 0) == {GONE, ZONED, named.glob}
    assert await looked(service, monkeypatch, 29.9) == {GONE, ZONED, named.glob}
    assert await looked(service, monkeypatch, 30.1) == {named.glob}
    assert not service.parts.memos.of("gone log")
    assert await looked(service, monkeypatch, 90) == {named.glob}


async def test_since_when_it_is_gone_survives_a_restart_and_a_return_begins_anew(
    service: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = await looked(service, monkeypatch, 0) - {GONE, ZONED}
    assert gone(service) == {GONE, ZONED}
    with monkeypatch.context() as patch:
        patch.setattr(service.parts.logs, "names", lambda: {GONE, ZONED, *named})
        await looked(service, monkeypatch, 20)
    assert not gone(service)
    assert GONE in await looked(service, monkeypatch, 45)


async def test_before_all_logs_are_found_none_is_gone(
    service: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.parts.logs.caught_up.clear()
    await looked(service, monkeypatch, 0)
    assert not service.parts.memos.of("gone log")


async def test_a_log_whose_lines_count_for_longer_than_a_month_is_kept_as_long(
    service: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    jail = service.parts.active.jails["smtp"]
    long = SimpleNamespace(**{"findtime": 60 * DAY})
    monkeypatch.setattr(service.parts.gone_logs._active, "_jails", {"smtp": jail, "long": long})
    await looked(service, monkeypatch, 0)
    assert GONE in await looked(service, monkeypatch, 59)
    assert GONE not in await looked(service, monkeypatch, 61)
