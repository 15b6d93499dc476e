"""Commands on the database: backup, compact; and the limits that the settings make of it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from sidecar.model import Ban, StoreError
from sidecar.network import Network
from sidecar.settings import Settings
from sidecar.store.changes import Allowed, HistoryEntry, Login
from sidecar.store.database import FILE, Database
from sidecar.store.upkeep import retention
from tests.app.running import InProcess

WHO, OTHER = Network.parse("203.0.113.7"), Network.parse("203.0.113.8")
BAN = Ban(WHO, "smtp", 1.0, None, "log", "2 failures", 2, ("line",), dry=True)
DAY = 86400.0


async def test_a_backup_is_answered_when_it_is_complete(one: InProcess, tmp_path: Path) -> None:
    one.ban(BAN)
    answer = await one.tell("backup", file=str(tmp_path / "backup"))
    assert answer.pop("seconds") >= 0
    size = (tmp_path / "backup").stat().st_size
    assert answer == {
        "file": str(tmp_path / "backup"), "bytes": size, "bans": 1, "history": 0, "warnings": [],
    }  # fmt: skip
    with contextlib.closing(Database(tmp_path, name="backup", read_only=True)) as copy:
        assert copy.bans() == [BAN]


async def test_a_file_that_is_there_needs_force_and_the_database_itself_is_refused(
    one: InProcess, tmp_path: Path
) -> None:
    (tmp_path / "backup").write_text("mine")
    with pytest.raises(StoreError, match="already exists"):
        await one.tell("backup", file=str(tmp_path / "backup"))
    assert (await one.tell("backup", file=str(tmp_path / "backup"), force=True))["bans"] == 0
    with pytest.raises(StoreError, match="belongs to the database in use"):
        await one.tell("backup", file=str(tmp_path / "state" / FILE), force=True)


@pytest.mark.parametrize("file", ["relative", "", "/", 5])
async def test_a_backup_needs_the_whole_path_of_a_file(one: InProcess, file: object) -> None:
    with pytest.raises(ValueError, match="file"):
        await one.tell("backup", file=file)


async def test_a_compaction_is_answered_with_the_sizes(one: InProcess) -> None:
    one.ban(BAN)
    await one.commit_queue.commit()
    answer = await one.tell("compact")
    assert answer["before"] >= answer["after"] > 0
    assert answer["after"] == one.commit_queue.database.bytes()
    assert one.commit_queue.database.bans() == [BAN]


async def test_while_a_compaction_runs_status_says_so(one: InProcess) -> None:
    one.parts.upkeep.compacting = True
    assert "compacted" in one.parts.store_health.sentence()
    one.parts.upkeep.compacting = False
    one.parts.upkeep.failing = "the disk is full"
    assert one.parts.store_health.sentence() == "good; but its upkeep failed: the disk is full"
    assert one.metric("store_failing", reason="upkeep") == 1
    one.parts.upkeep.failing = None
    assert one.metric("store_failing", reason="upkeep") == 0
    assert one.metric("database_wal_bytes") == one.commit_queue.database.log_bytes()


async def test_what_the_settings_keep_is_kept_by_the_job_that_prunes(
    one: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    ended = [HistoryEntry(BAN._replace(dry=False), now - days * DAY, "expired") for days in (9, 11, 400)]
    logins = [Login(WHO, "bob", now - days * DAY) for days in (29, 31)]
    logins = [logins[0], Login(OTHER, "bob", logins[1].at)]
    allowed = [Allowed(WHO, 1.0, now - 1, "over"), Allowed(OTHER, 1.0, now + 1e6, "not over")]
    one.commit_queue.add([*ended, *logins, *allowed])
    await one.commit_queue.commit()
    database = one.commit_queue.database
    await one.parts.expiry.prune()
    assert retention.history_rows(database) == 3
    assert (database.logins(), database.allowed()) == (logins[:1], allowed[1:])
    settings = Settings.model_validate({"store": {"history_days": 10}, "good": {"days": 1}})
    monkeypatch.setattr(one.parts.active, "settings", settings)
    await one.parts.expiry.prune()
    assert retention.history_rows(database) == 1
    # A shorter time for logins may be a mistake; the start does not count older ones anyway.
    assert database.logins() == logins[:1]
    assert one.metric("database_history_rows") == 1


async def test_the_jails_whose_ban_times_grow_are_the_last_to_be_forgotten(
    one: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    jail = one.parts.active.jails["smtp"]
    grows = SimpleNamespace(findtime=600.0, increment=SimpleNamespace(overalljails=False))
    everywhere = SimpleNamespace(findtime=600.0, increment=SimpleNamespace(overalljails=True))
    for jails, growing in (
        ({"smtp": jail}, frozenset()),
        ({"smtp": jail, "web": grows}, frozenset({"web"})),
        ({"smtp": jail, "web": grows, "all": everywhere}, None),
    ):
        monkeypatch.setattr(one.parts.active, "_jails", jails)
        limits = one.parts.expiry._limits(1e9)
        assert limits.growing == growing
        assert limits.history_rows == 100_000
