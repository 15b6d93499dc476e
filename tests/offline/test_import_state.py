"""Imports bans into the database while the service is not running."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.spec import FilterSpec
from sidecar.model import Ban, ConfigError, StoreError, Unban
from sidecar.network import Network
from sidecar.offline.import_state import into_state
from sidecar.store.changes import Memo
from sidecar.store.database import Database
from sidecar.store.imports.entry import ListedBan
from sidecar.store.state_lock import claimed

NOW = time.time()
WHO = Network.parse("203.0.113.7")
LINES = ("one", "two")


def ban(at: float = NOW - 100, until: float | None = None, network: Network = WHO, **more: Any) -> Ban:
    values = {"jail": "mail", "origin": "import", "reason": "r", "failures": 3, "evidence": LINES, "times": 2}
    return Ban(network=network, at=at, until=until, **{**values, **more})


class State:
    """The database of a service that is not running, and imports into it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, *changes: Any) -> None:
        database = Database(self.directory)
        database.write(changes)
        database.close()

    def take(self, *entries: Ban | ListedBan, jails: dict[str, JailSpec] | None = None) -> dict[str, int]:
        chunk = [(one if isinstance(one, ListedBan) else ListedBan(one)).record() for one in entries]
        (answer,) = into_state(self.directory, jails or {}, [chunk])
        self.told = answer["told"]
        counts: dict[str, int] = answer["counts"]
        return counts

    def bans(self) -> list[Ban]:
        return list(self._read(Database.bans))

    def history(self) -> list[tuple[Any, ...]]:
        query = "SELECT at, until, ended, why, failures, count FROM history ORDER BY at"
        return list(self._read(lambda database: database._db.execute(query)))

    def count(self) -> int:
        """The number of bans of WHO that growing ban times use."""
        return max(int(count) for _, _, count, _ in self._read(Database.counts))

    def _read(self, what: Any) -> Iterable[Any]:
        database = Database(self.directory)
        try:
            return list(what(database))
        finally:
            database.close()


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


def test_a_ban_is_taken_over_with_count_lines_and_end(state: State) -> None:
    assert state.take(ban(until=NOW + 90000)) == {"banned": 1}
    assert state.bans() == [ban(until=NOW + 90000)]


def test_a_ban_that_is_over_only_counts(state: State) -> None:
    assert state.take(ban(until=NOW - 1), ListedBan(ban(NOW - 999), current=False)) == {"history": 2}
    assert state.bans() == []
    old, late = state.history()
    assert old[:2] == (NOW - 999, None) and old[3:] == ("imported", 3, 2)
    assert late == (NOW - 100, NOW - 1, NOW - 1, "expired", 3, 2)
    assert state.count() == 2


def test_the_same_again_changes_nothing(state: State) -> None:
    both = (
        ban(until=NOW + 90000),
        ban(NOW - 999, NOW - 99),
        ListedBan(ban(NOW - 9999, times=1), current=False),
    )
    state.take(*both)
    before = state.bans(), state.history()
    for again in (both, both[::-1], both * 2):
        assert state.take(*again) == {"unchanged": len(again)}
        assert (state.bans(), state.history()) == before


def test_a_ban_that_ended_here_since_is_not_counted_twice(state: State) -> None:
    state.take(ban(until=NOW + 40000))
    state.write(Unban(WHO, "mail", NOW + 40000, "expired"))
    assert state.take(ListedBan(ban(until=NOW + 40000), current=False)) == {"unchanged": 1}
    assert len(state.history()) == 1


def test_a_ban_lifted_here_stays_lifted_until_the_network_is_banned_again(state: State) -> None:
    state.take(ban())
    state.write(Unban(WHO, "mail", NOW, "manual"))
    assert state.take(ban()) == {"lifted": 1}
    assert state.told == [{"event": "lifted", "network": "203.0.113.7/32", "jail": "mail"}]
    assert state.take(ban(jail="other")) == {"banned": 1}
    assert state.take(ban(NOW + 5)) == {"banned": 1}


def test_who_was_lifted_from_a_list_stays_lifted_whenever_it_is_read_again(state: State) -> None:
    state.take(ban(jail="import"))
    assert state.take(ban(NOW, jail="import")) == {"unchanged": 1}
    assert state.history() == []
    state.write(Unban(WHO, "import", NOW, "manual"))
    assert state.take(ban(NOW + 100, jail="import")) == {"lifted": 1}


def test_a_ban_that_grew_since_is_extended_and_its_failures_are_not_counted_again(state: State) -> None:
    state.take(ban(until=NOW + 20000))
    assert state.take(ban(until=NOW + 90000)) == {"extended": 1}
    assert state.bans() == [ban(until=NOW + 90000)]
    assert state.take(ban(until=NOW + 20000)) == {"unchanged": 1}


def test_of_two_bans_of_a_jail_the_later_end_counts_and_both_are_remembered(state: State) -> None:
    own = ban(NOW - 50, NOW + 60000, origin="log", times=1, failures=2)
    state.write(own)
    assert state.take(ban(until=NOW + 30000)) == {"history": 1}
    assert state.take(ban(NOW - 200, NOW + 90000, times=7)) == {"extended": 1}
    (standing,) = state.bans()
    assert (standing.at, standing.until, standing.origin) == (own.at, NOW + 90000, "log")
    assert state.count() == 7
    before = state.bans(), state.history()
    assert state.take(ban(until=NOW + 30000), ban(NOW - 200, NOW + 90000, times=7)) == {"unchanged": 2}
    assert (state.bans(), state.history()) == before


def test_what_no_host_may_ban_and_what_the_jail_ignores_is_refused_and_the_rest_goes_on(state: State) -> None:
    jail = JailSpec(
        "mail",
        FilterSpec("f", ()),
        (),
        ignoreip=(Network.parse("203.0.113.0/28"), Network.parse("198.51.100.7")),
    )
    found = [
        ban(network=Network.parse(text))
        for text in ("127.0.0.1", "10.0.0.0/8", "203.0.113.7", "203.0.113.99", "198.51.100.0/24")
    ]
    assert state.take(*found, jails={"mail": jail}) == {"refused": 4, "banned": 1}
    assert [one["reason"] for one in state.told] == ["reserved", "too-wide", "ignored", "ignored"]


def test_a_jail_on_trial_bans_nobody_by_an_import_either_until_it_is_done_again_in_earnest(
    state: State,
) -> None:
    jail = JailSpec("mail", FilterSpec("f", ()), (), dry_run=True)
    assert state.take(ban(), jails={"mail": jail}) == {"banned": 1}
    assert [one.dry for one in state.bans()] == [True]
    assert state.take(ban(), jails={"mail": jail}) == {"unchanged": 1}
    assert state.take(ban()) == {"banned": 1}
    assert state.bans() == [ban()]
    assert state.take(ban(), jails={"mail": jail}) == {"unchanged": 1}


def test_a_fault_in_the_middle_leaves_nothing_of_all_before(state: State) -> None:
    Database(state.directory).close()
    bad = {**ListedBan(ban()).record(), "network": "nobody"}
    chunks = [
        [ListedBan(ban(network=Network(4, n << 8, 32))).record() for n in range(2**20, 2**20 + 50)],
        [bad],
    ]
    with pytest.raises(StoreError):
        into_state(state.directory, {}, chunks)
    assert (state.bans(), state.history()) == ([], [])


def test_a_state_that_a_service_works_with_is_left_alone(state: State) -> None:
    with claimed(state.directory), pytest.raises(ConfigError, match="another zmban works with this state"):
        state.take(ban())


def test_a_jail_that_was_switched_to_dry_run_takes_bans_over_as_dry_ones(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.write(Memo("dry_run", "mail", "on", NOW))
    state.take(ban(), jails={"mail": JailSpec("mail", FilterSpec("f", ()), ())})
    assert [one.dry for one in state.bans()] == [True]
