"""Rows that are salvaged after the start are merged, and never undo newer changes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sidecar.app.bans.adoption import adopt
from sidecar.app.persist import recovery
from sidecar.model import Ban, Unban
from sidecar.network import Network
from sidecar.store.changes import Allowed, Change, EvidenceLines, HistoryEntry
from sidecar.store.database import FILE, Database
from sidecar.store.repair import damage
from tests.app.running import in_process
from tests.app.test_service import EVIL, blackholes
from tests.netns import Namespace

pytestmark = pytest.mark.kernel

SPARED, SHORT, FRIEND, GONE = "203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"
LINES = ("the line that led to it",)


def ban(host: str, at: float = 100.0, until: float | None = None, **more: object) -> Ban:
    made = Ban(Network.parse(host), "smtp", at, until, "log", "2 failures", 2, LINES, 3)
    return made._replace(**more)  # type: ignore[arg-type]


@pytest.fixture
def unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory with a damaged database, of which nothing is read before the start."""
    monkeypatch.setattr(recovery, "_PATIENCE", 0.0)
    state = tmp_path / "state"
    state.mkdir()
    return state


def damaged(state: Path, *changes: Change) -> None:
    database = Database(state)
    database.write(changes)
    database.close()
    # A page that belongs to no table and a wrong count of free pages: all rows are undamaged.
    with (state / FILE).open("r+b") as file:
        file.seek(36)
        file.write((7).to_bytes(4, "big"))


async def test_what_is_read_late_stands_in_table_kernel_and_database(
    host: Namespace, tmp_path: Path, unread: Path
) -> None:
    over = HistoryEntry(ban(GONE), 150.0, "expired")
    damaged(unread, ban(EVIL), over, Allowed(Network.parse(FRIEND), 1.0, None, "x"))
    async with in_process(tmp_path) as one:
        assert not blackholes(host)
        assert "is running" in one.parts.store_health.sentence()
        await one.salvaged()
        assert blackholes(host) == {EVIL}
        assert one.commit_queue.database.bans() == [ban(EVIL)]
        assert one.protection.guard.refuse(Network.parse(FRIEND)) == "ignored"
        assert set(one.commit_queue.database.history([(Network.parse(GONE), "smtp")])) == {
            (Network.parse(GONE), "smtp")
        }
        assert "set aside" in one.parts.store_health.sentence()
        assert not list(unread.glob(f"*{damage.UNREAD}"))


async def test_a_ban_that_is_read_late_undoes_no_unban_and_no_allow_that_came_since(
    host: Namespace, tmp_path: Path, unread: Path
) -> None:
    damaged(unread, ban(SPARED), ban(FRIEND), ban(EVIL))
    async with in_process(tmp_path) as one:
        await one.tell("unban", networks=[SPARED])
        await one.tell("allow", networks=[FRIEND], reason="on the telephone")
        await one.salvaged()
        assert blackholes(host) == {EVIL}
        # Its ban is suspended while it is allowed.
        assert {b.network.address for b in one.table} == {EVIL, FRIEND}


async def test_what_a_person_lifted_while_it_was_read_stays_so_after_a_kill(
    host: Namespace, tmp_path: Path, unread: Path
) -> None:
    damaged(unread, ban(SPARED), ban(EVIL))
    async with in_process(tmp_path) as one:
        await one.tell("unban", networks=[SPARED])
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "state").symlink_to(unread)
    async with in_process(tmp_path / "again") as one:
        assert one.commit_queue.salvages
        await one.salvaged()
        assert blackholes(host) == {EVIL}
        assert one.commit_queue.database.bans() == [ban(EVIL)]


async def test_of_two_bans_of_one_jail_the_one_that_ends_later_counts(
    host: Namespace, tmp_path: Path, unread: Path
) -> None:
    soon, later = time.time() + 1000, time.time() + 9000
    damaged(unread, ban(EVIL, until=soon), ban(SHORT, until=later))
    async with in_process(tmp_path) as one:
        one.ban(ban(EVIL, 200.0, later), ban(SHORT, 200.0, soon))
        await one.salvaged()
        found = {b.network.address: b for b in one.commit_queue.database.bans()}
        assert {b.until for b in found.values()} == {later}
        assert {b.at for b in found.values()} == {200.0}
        assert {b.failures for b in found.values()} == {2}


async def test_whom_a_person_had_let_in_is_let_in_again_where_the_log_that_is_read_again_bans_him(
    host: Namespace, tmp_path: Path, unread: Path
) -> None:
    damaged(unread, ban(SPARED, 100.0), Unban(Network.parse(SPARED), "smtp", 200.0, "manual"))
    async with in_process(tmp_path) as one:
        one.ban(ban(SPARED, 100.0))
        one.ban(ban(EVIL, 300.0))
        await one.salvaged()
        assert blackholes(host) == {EVIL}


async def test_what_is_over_by_now_is_history_and_counts_for_the_next_ban(
    host: Namespace, tmp_path: Path, unread: Path
) -> None:
    damaged(unread, ban(GONE, until=200.0))
    async with in_process(tmp_path) as one:
        await one.salvaged()
        assert not blackholes(host)
        key = (Network.parse(GONE), "smtp")
        assert [(e.at, e.ended, e.why) for e in one.commit_queue.database.history([key])[key]] == [
            (100.0, 200.0, "expired")
        ]
        assert list(one.commit_queue.database.counts()) == [(Network.parse(GONE), "smtp", 3, 100.0)]


async def test_a_ban_taken_back_from_the_kernel_gives_way_to_the_one_that_is_read_late(
    host: Namespace, tmp_path: Path, unread: Path
) -> None:
    host.ip("route", "add", "blackhole", EVIL, "table", "2520", "proto", "222")
    damaged(unread, ban(EVIL))
    async with in_process(tmp_path) as one:
        assert [b.adopted for b in one.table] == [True]
        await one.salvaged()
        assert blackholes(host) == {EVIL}
        assert one.commit_queue.database.bans() == [ban(EVIL)]
        assert one.table.active == {"smtp": 1, "import": 0}


async def test_a_ban_taken_back_from_the_kernel_gives_way_to_no_person_and_to_no_other_width(
    host: Namespace, tmp_path: Path
) -> None:
    for network in (EVIL, "203.0.113.0/24", "198.18.7.7"):
        host.ip("route", "add", "blackhole", network, "table", "2520", "proto", "222")
    async with in_process(tmp_path) as one:
        assert len(one.table) == 3
        await one.tell("ban", networks=[EVIL], reason="by hand", until=time.time() + 60)
        narrower, wider = ban("203.0.113.7"), ban("198.18.0.0/16")
        one.ban(narrower, wider)
        await one.settled()
        assert sorted(b.jail for b in one.table) == ["import"] * 3 + ["manual"] + ["smtp"] * 2


async def test_what_a_person_imports_is_no_stand_in_and_stays(host: Namespace, tmp_path: Path) -> None:
    host.ip("route", "add", "blackhole", EVIL, "table", "2520", "proto", "222")
    async with in_process(tmp_path) as one:
        (stand_in,) = one.table
        imported = stand_in._replace(reason="a list", times=1, until=time.time() + 60)
        one.ban(imported)
        one.ban(ban(EVIL))
        assert sorted((b.jail, b.reason) for b in one.table) == [("import", "a list"), ("smtp", "2 failures")]
        parts = one.parts
        await adopt("again", parts.active, one.register, one.protection, one.enforcer, one.bus)
        assert len(list(one.table)) == 2


async def test_evidence_goes_to_the_very_ban_that_it_led_to(host: Namespace, tmp_path: Path) -> None:
    async with in_process(tmp_path) as one:
        one.commit_queue.database.write([ban(EVIL, 100.0, evidence=())])
        one.commit_queue.add([EvidenceLines(Network.parse(EVIL), "smtp", ("of another ban",), 99.0)])
        await one.commit_queue.commit()
        assert one.commit_queue.database.bans()[0].evidence == ()
        one.commit_queue.add([EvidenceLines(Network.parse(EVIL), "smtp", LINES, 100.0)])
        await one.commit_queue.commit()
        assert one.commit_queue.database.bans()[0].evidence == LINES
