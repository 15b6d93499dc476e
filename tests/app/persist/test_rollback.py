"""Rollback to an earlier zmban: it takes the copy from before the upgrade, and says what it does not know."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

import pytest

from sidecar.app.persist import recovery
from sidecar.app.persist.recovery import Store
from sidecar.model import Ban, StoreError
from sidecar.network import Network
from sidecar.store import migrations
from sidecar.store.database import FILE, Database, LaterError
from sidecar.store.repair import version_copy
from tests.app.persist.test_recovery import ban, end, write
from tests.app.running import service, until
from tests.app.test_service import EVIL, OTHER, blackholes
from tests.netns import Namespace

STEP = "ALTER TABLE bans ADD COLUMN country TEXT NOT NULL DEFAULT 'unknown';"
OLD, NEW, NEWER = (Network.parse(f"203.0.113.{n}") for n in (7, 8, 9))
VERSION = migrations.newest()


class Versions:
    """This zmban, and a later one whose schema has a column more."""

    def __init__(self, state: Path, patch: pytest.MonkeyPatch) -> None:
        self.state, self._patch, self._steps = state, patch, [*migrations.STEPS]

    def later(self) -> None:
        self._patch.setattr(migrations, "STEPS", [*self._steps, STEP])

    def earlier(self) -> None:
        self._patch.setattr(migrations, "STEPS", self._steps)

    def upgraded_with_a_ban(self, network: Network) -> None:
        self.later()
        with contextlib.closing(Database(self.state)) as database:
            # As the later version would write it, with its column.
            database.write([ban(network, at=1_700_000_001.0)])
        self.earlier()

    def files(self) -> set[str]:
        return {file.name for file in self.state.iterdir() if not file.name.endswith(("-wal", "-shm"))}


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Versions:
    write(tmp_path, ban(OLD))
    return Versions(tmp_path, monkeypatch)


def networks(store: Store) -> set[Network]:
    found: list[Ban] = store.database.bans()
    end(store)
    return {one.network for one in found}


def test_a_migration_leaves_a_copy_that_only_root_reads(versions: Versions) -> None:
    versions.upgraded_with_a_ban(NEW)
    copy = versions.state / f"{FILE}.v{VERSION}"
    assert copy.stat().st_mode & 0o777 == 0o600
    with contextlib.closing(sqlite3.connect(copy)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert db.execute("SELECT COUNT(*) FROM bans").fetchone() == (1,)


def test_a_new_database_and_one_of_this_version_leave_no_copy(tmp_path: Path) -> None:
    for _ in range(2):
        Database(tmp_path).close()
    assert version_copy.newest_copy(tmp_path / FILE, VERSION) is None


def test_where_no_copy_can_be_made_nothing_is_migrated(versions: Versions) -> None:
    before = (versions.state / FILE).read_bytes()
    (versions.state / f"{FILE}.v{VERSION}.new").mkdir()
    versions.later()
    with pytest.raises(StoreError):
        Database(versions.state)
    assert (versions.state / FILE).read_bytes() == before


def test_the_earlier_version_takes_the_copy_and_says_since_when_it_knows_nothing(
    versions: Versions, caplog: pytest.LogCaptureFixture
) -> None:
    versions.upgraded_with_a_ban(NEW)
    moment = 1_700_000_000.0
    os.utime(versions.state / f"{FILE}.v{VERSION}", (moment, moment))
    store = recovery.opened(versions.state)
    # With this word the bans that the kernel still has are adopted.
    assert store.lost == "zmban returned to an earlier version"
    assert networks(store) == {OLD}
    since = "2023-11-14 22:13:20 UTC"
    assert f"1 ban and all other decisions since {since} are known only from logs and routes" in caplog.text
    assert f"{FILE}.v{VERSION + 1}" in caplog.text


def test_nothing_of_the_later_database_is_deleted(versions: Versions) -> None:
    versions.upgraded_with_a_ban(NEW)
    networks(recovery.opened(versions.state))
    aside = versions.state / f"{FILE}.v{VERSION + 1}"
    with contextlib.closing(sqlite3.connect(aside)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
        assert db.execute("SELECT COUNT(*) FROM bans").fetchone() == (2,)


def test_the_status_says_so_after_a_restart_too_and_no_more_after_the_next_upgrade(
    versions: Versions,
) -> None:
    versions.upgraded_with_a_ban(NEW)
    for _ in range(2):
        networks(recovery.opened(versions.state))
        (later,) = version_copy.set_aside(versions.state / FILE, VERSION)
        assert str(later.path) in str(later)
    versions.later()
    assert version_copy.set_aside(versions.state / FILE, migrations.newest()) == []


def test_what_was_decided_after_the_rollback_survives_the_next_upgrade_and_the_next_rollback(
    versions: Versions,
) -> None:
    versions.upgraded_with_a_ban(NEW)
    networks(recovery.opened(versions.state))
    write(versions.state, ban(NEWER))
    versions.later()
    assert networks(recovery.opened(versions.state)) == {OLD, NEWER}
    versions.earlier()
    assert networks(recovery.opened(versions.state)) == {OLD, NEWER}
    # Both databases of the later version are kept.
    assert len(version_copy.set_aside(versions.state / FILE, VERSION)) == 2


@pytest.mark.parametrize("first", ["before the copy", "after the first rename"])
def test_a_rollback_that_was_killed_is_completed_by_the_next_start(versions: Versions, first: str) -> None:
    versions.upgraded_with_a_ban(NEW)
    copy, file = versions.state / f"{FILE}.v{VERSION}", versions.state / FILE
    (versions.state / f"{FILE}.new").write_bytes(copy.read_bytes())
    if first == "after the first rename":
        file.rename(versions.state / f"{FILE}.v{VERSION + 1}")
        for suffix in ("-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
    assert networks(recovery.opened(versions.state)) == {OLD}


def test_a_later_schema_that_cannot_be_counted_costs_the_number_only(versions: Versions) -> None:
    versions.upgraded_with_a_ban(NEW)
    with contextlib.closing(sqlite3.connect(versions.state / FILE)) as db:
        db.execute("ALTER TABLE bans RENAME TO decisions")
    assert networks(recovery.opened(versions.state)) == {OLD}
    (later,) = version_copy.set_aside(versions.state / FILE, VERSION)
    assert later.bans is None
    assert "the bans and all other decisions" in str(later)


def test_without_a_copy_a_later_database_is_left_as_it_is(versions: Versions) -> None:
    versions.upgraded_with_a_ban(NEW)
    (versions.state / f"{FILE}.v{VERSION}").unlink()
    before = versions.files()
    with pytest.raises(LaterError, match="later version"):
        recovery.opened(versions.state)
    assert versions.files() == before


@pytest.mark.kernel
def test_after_a_rollback_the_service_runs_and_keeps_what_the_kernel_refuses(
    host: Namespace, tmp_path: Path
) -> None:
    with service(tmp_path) as running:
        file = running.state / FILE
        running.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        running.stop()
        with contextlib.closing(sqlite3.connect(file)) as db:
            version_copy.keep(db, file, VERSION)
        running.start()
        running.ask("ban", OTHER, "--reason", "by hand, after the upgrade")
        running.stop()
        with contextlib.closing(sqlite3.connect(file)) as db:
            db.execute(f"PRAGMA user_version = {VERSION + 1}")
        running.start()
        until(lambda: running.banned() == {f"{EVIL}/32", f"{OTHER}/32"})
        jails = {record["network"]: record["jail"] for record in running.ask("bans")}
        assert jails == {f"{EVIL}/32": "smtp", f"{OTHER}/32": "import"}
        (status,) = running.ask("status")
        assert f"{FILE}.v{VERSION + 1}" in str(status)
        assert "was set aside" in running.said()
        assert time.strftime("%Y-") in running.said()
