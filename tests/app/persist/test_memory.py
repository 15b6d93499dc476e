"""What earlier runs decided and learnt is in memory again, once, before anything begins."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.app.active import ActiveConfiguration
from sidecar.app.persist.memory import PROXY_ACCOUNT, Memory, learn, restored
from sidecar.configuration import loading
from sidecar.decide.known_good import KnownGood
from sidecar.model import LATEST, Ban, Failure, Position, Unban
from sidecar.network import Network
from sidecar.store.changes import Allowed, Change, HistoryEntry, Login, Zone
from sidecar.store.database import FILE, Database, LaterError
from sidecar.store.repair import damage
from tests.app.running import Running

NOW = time.time()
HOUR, DAY = 3600.0, 86400.0
WHO, OTHER, SIX = (Network.parse(text) for text in ("203.0.113.7", "203.0.113.8", "2001:db8::/64"))
PROXY = Network.parse("172.18.0.9")
GROWS = "[grows]\nenabled=true\nfilter=zimbra-smtp\nbantime=900\nbantime.increment=true\nlogpath=/x.log\n"

Active = Callable[..., ActiveConfiguration]


@pytest.fixture
def active(tmp_path: Path) -> Active:
    """Makes a configuration with the jail `smtp` (findtime one day), and more."""

    def make(jails: str = "") -> ActiveConfiguration:
        place = tmp_path / "config"
        if not place.exists():
            Running(tmp_path, jails)
        return ActiveConfiguration(loading.load([str(place)]), dry_run=False)

    return make


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def write(state: Path, *changes: Change) -> None:
    database = Database(state)
    database.write(changes)
    database.close()


def ban(network: Network = WHO, jail: str = "smtp", at: float = 1.0, until: float | None = None) -> Ban:
    return Ban(network, jail, at, until, "log", "2 failures", 2, times=3)


def closed(memory: Memory) -> Memory:
    for salvage in memory.store.salvages:
        salvage.stop()
    memory.store.database.close()
    return memory


def test_of_nothing_nothing_is_known(state: Path, active: Active) -> None:
    memory = closed(restored(state, active()))
    assert list(memory.register.table) == []
    assert (list(memory.known_good.all()), memory.allowed, memory.zones) == ([], (), {})
    assert memory.store.lost == "there was no database"


def test_what_earlier_runs_decided_and_learnt_comes_back(state: Path, active: Active) -> None:
    friend = Allowed(OTHER, 1.0, None, "a friend")
    write(
        state,
        ban(), ban(SIX, until=NOW + HOUR),
        Failure("smtp", OTHER, NOW - HOUR, "line"),
        Login(OTHER, "bob", NOW - DAY), Login(SIX, "", NOW - DAY), Login(PROXY, PROXY_ACCOUNT, NOW - DAY),
        friend, Zone("/x.log", 7200.0),
    )  # fmt: skip
    memory = closed(restored(state, active()))
    assert set(memory.register.table) == {ban(), ban(SIX, until=NOW + HOUR)}
    assert memory.engine.register is memory.register
    assert [*memory.engine.jails["smtp"].window.failures()] == [(OTHER, NOW - HOUR, "line")]
    assert memory.known_good.clients.owns(OTHER, "bob", NOW)
    assert memory.known_good.mail_servers.is_known(SIX, NOW)
    assert memory.engine.known_good is memory.known_good
    assert list(memory.suspects.networks()) == [PROXY]
    assert memory.allowed == (friend,)
    assert memory.zones == {"/x.log": 7200.0}
    assert (memory.store.lost, memory.store.failing) == (None, None)


def test_what_is_over_by_now_does_not(state: Path, active: Active) -> None:
    write(
        state,
        Failure("smtp", OTHER, NOW - 2 * DAY, "longer ago than findtime"),
        Failure("gone", OTHER, NOW, "of a jail that is no more"),
        Login(OTHER, "bob", NOW - 1000 * DAY), Login(PROXY, PROXY_ACCOUNT, NOW - 1000 * DAY),
        Allowed(OTHER, 1.0, NOW - 1.0, "over"),
    )  # fmt: skip
    memory = closed(restored(state, active()))
    assert len(memory.engine.jails["smtp"].window) == 0
    assert list(memory.known_good.all()) == []
    assert list(memory.suspects.networks()) == []
    assert memory.allowed == ()


def test_a_ban_that_is_over_stands_until_its_end_is_published(state: Path, active: Active) -> None:
    """Its route must go, and its end be written: the daemon publishes what expired."""
    write(state, ban(until=NOW - HOUR))
    memory = closed(restored(state, active()))
    assert [type(event) for event in memory.register.expire(NOW)] == [Unban]


@pytest.mark.parametrize(("jails", "times"), [("", 0), (GROWS, 4)], ids=["no jail grows", "one grows"])
def test_earlier_bans_are_counted_where_ban_times_grow(
    state: Path, active: Active, jails: str, times: int
) -> None:
    earlier = ban(jail="grows", until=50.0)._replace(times=4)
    write(state, HistoryEntry(earlier, 50.0, "expired"))
    memory = closed(restored(state, active(jails)))
    assert memory.register.counts_earlier == bool(jails)
    assert memory.register.earlier(WHO, "grows").times == times


def broken(state: Path, table: str, number: int) -> None:
    """One row of a table is senseless, though every page is whole: it is found only when it is read."""
    database = sqlite3.connect(state / FILE)
    with database:
        row = database.execute(f"SELECT rowid FROM {table} LIMIT 1 OFFSET {number}").fetchone()
        database.execute(f"UPDATE {table} SET network = x'00' WHERE rowid = ?", row)
    database.close()


def test_a_database_damaged_in_the_middle_of_the_bans_is_replaced_once_and_nothing_is_counted_twice(
    state: Path, active: Active, caplog: pytest.LogCaptureFixture
) -> None:
    networks = [Network(4, (198 << 24) + n, 32) for n in range(100)]
    write(
        state,
        *map(ban, networks), Failure("smtp", OTHER, NOW - HOUR, "line"), Login(OTHER, "bob", NOW - DAY),
        HistoryEntry(ban(OTHER, "grows", until=50.0), 50.0, "expired"),
    )  # fmt: skip
    broken(state, "bans", 50)
    memory = closed(restored(state, active(GROWS)))
    assert set(memory.register.table.networks()) == {*networks} - {networks[50]}
    assert memory.register.table.active["smtp"] == 99
    assert memory.engine.jails["smtp"].window.count(OTHER) == 1
    assert memory.known_good.clients.owns(OTHER, "bob", NOW)
    assert memory.store.lost == "the database was damaged"
    assert len(damage.aside(state / FILE)) == 1
    assert caplog.text.count("was set aside") == 1
    # The new one is whole.
    again = closed(restored(state, active()))
    assert again.store.lost is None
    assert again.register.table.active["smtp"] == 99


def test_of_damaged_failures_none_counts_and_the_logs_are_read_again(state: Path, active: Active) -> None:
    hosts = [Network(4, (198 << 24) + n, 32) for n in range(10)]
    failures = (Failure("smtp", host, NOW - HOUR, "line") for host in hosts)
    write(state, *failures, Position("/x.log", 7, 10, b"head"))
    broken(state, "failures", 9)
    memory = closed(restored(state, active()))
    assert len(memory.engine.jails["smtp"].window) == 0
    assert len(damage.aside(state / FILE)) == 1
    database = Database(state)
    assert database.positions() == {}
    database.close()


def test_a_database_of_a_later_version_is_left_as_it_is(state: Path, active: Active) -> None:
    write(state, ban())
    database = sqlite3.connect(state / FILE)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(LaterError):
        restored(state, active())
    assert damage.aside(state / FILE) == []


def test_a_ban_beyond_the_calendar_is_for_ever_and_that_is_told(
    state: Path, active: Active, caplog: pytest.LogCaptureFixture
) -> None:
    write(state, ban(until=NOW + HOUR))
    database = sqlite3.connect(state / FILE)
    with database:
        database.execute("UPDATE bans SET until = ?", (LATEST * 2,))
    database.close()
    memory = closed(restored(state, active()))
    assert [one.until for one in memory.register.table] == [None]
    assert "1 bans in the database end after the year 9999" in caplog.text


def test_only_what_was_not_known_is_learnt() -> None:
    known_good, suspects = KnownGood(DAY), Suspects()
    known_good.learn(WHO, "bob", 90.0)
    found = [
        Login(WHO, "bob", 90.0), Login(OTHER, "bob", 90.0), Login(OTHER, "carol", 50.0),
        Login(PROXY, PROXY_ACCOUNT, 90.0),
    ]  # fmt: skip
    assert learn(found, known_good, suspects, 50.0) == [found[1], found[3]]  # type: ignore[arg-type]
    assert suspects.restored == [(PROXY, 90.0)]


class Suspects:
    """The part of SuspectedProxies that learns."""

    def __init__(self) -> None:
        self.restored: list[tuple[Network, float]] = []

    def restore(self, network: Network, at: float) -> None:
        self.restored.append((network, at))
