"""Retention: rows that nothing needs are found and deleted, and no other row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.model import Ban, Failure, Position, StoreError
from sidecar.network import Network
from sidecar.store.changes import Allowed, HistoryEntry, LogGone, Login, Zone
from sidecar.store.database import Database
from sidecar.store.upkeep import retention
from sidecar.store.upkeep.retention import Limits
from tests.store.pruning import prune

WHO, OTHER, THIRD = (Network.parse(f"203.0.113.{n}") for n in (7, 8, 9))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path)
    yield database
    database.close()


def ended(
    at: float, who: Network = WHO, jail: str = "a", count: int = 1, why: str = "expired"
) -> HistoryEntry:
    ban = Ban(who, jail, at - 1, at, "log", "2 failures", 2, (), count)
    return HistoryEntry(ban, at, why)


def history(database: Database) -> set[tuple[str, float]]:
    keys = [(who, jail) for who in (WHO, OTHER, THIRD) for jail in "ab"]
    return {
        (f"{who.address}/{jail}", one.ended)
        for (who, jail), found in database.history(keys).items()
        for one in found
    }


def test_bans_that_ended_long_ago_leave_the_history_and_take_no_other_along(database: Database) -> None:
    database.write([ended(10.0), ended(20.0), ended(20.5, OTHER), Ban(THIRD, "a", 1.0, None, "log")])
    prune(database, Limits({}, history=20.0))
    assert history(database) == {("203.0.113.8/a", 20.5)}
    assert [ban.network for ban in database.bans()] == [THIRD]


def test_of_too_many_ended_bans_the_oldest_go(database: Database) -> None:
    # Written in another order than they ended, as by an import.
    database.write([ended(40.0), ended(10.0, OTHER), ended(30.0, jail="b"), ended(20.0, THIRD)])
    prune(database, Limits({}, history_rows=2))
    assert history(database) == {("203.0.113.7/a", 40.0), ("203.0.113.7/b", 30.0)}


def test_bans_that_growing_ban_times_count_outlast_those_that_they_do_not(database: Database) -> None:
    database.write(
        [
            ended(10.0, count=1), ended(20.0, count=2), ended(30.0, why="manual"),
            ended(40.0, jail="b"), ended(50.0, OTHER, "b"), ended(15.0, THIRD),
        ]
    )  # fmt: skip
    limits = Limits({}, growing=frozenset("a"))
    # The first ban of WHO, the one lifted by hand, and those of jail b count for nothing.
    prune(database, replace(limits, history_rows=3))
    assert history(database) == {("203.0.113.7/a", 20.0), ("203.0.113.9/a", 15.0), ("203.0.113.8/b", 50.0)}
    counts = {(network, count) for network, jail, count, _ in database.counts() if jail == "a"}
    assert counts == {(WHO, 2), (THIRD, 1)}
    prune(database, replace(limits, history_rows=2))
    assert {(network, jail) for network, jail, _, _ in database.counts()} == {(WHO, "a"), (THIRD, "a")}
    # The limit holds even if all that is left counts: then the oldest are forgotten.
    prune(database, replace(limits, history_rows=1))
    assert history(database) == {("203.0.113.7/a", 20.0)}


def test_where_bans_of_all_jails_count_together_the_newest_of_each_is_kept(database: Database) -> None:
    database.write([ended(10.0, jail="b"), ended(20.0, count=1), ended(30.0, count=2), ended(40.0, count=3)])
    prune(database, Limits({}, history_rows=2, growing=None))
    assert history(database) == {("203.0.113.7/b", 10.0), ("203.0.113.7/a", 40.0)}


@given(
    st.lists(
        st.tuples(
            st.sampled_from((WHO, OTHER, THIRD)),
            st.sampled_from("ab"),
            st.integers(1, 9),
            st.integers(1, 50),
            st.sampled_from(("expired", "manual", "replaced", "imported")),
        ),
        max_size=30,
    ),
    st.integers(0, 50),
    st.integers(1, 30),
)
def test_both_limits_hold_and_what_grows_is_forgotten_last(
    entries: list[tuple[Network, str, int, int, str]], oldest: int, most: int
) -> None:
    database = Database(Path(), memory=True)
    database.write([ended(float(at), who, jail, count, why) for who, jail, count, at, why in entries])
    young = [one for one in entries if one[3] > oldest]
    needed = {(who, jail) for who, jail, _, _, why in young if jail == "a" and why in ("expired", "imported")}
    counts = {
        key: max(one[2] for one in young if one[:2] == key and one[4] in ("expired", "imported"))
        for key in needed
    }
    prune(database, Limits({}, history=float(oldest), history_rows=most, growing=frozenset("a")))
    assert retention.history_rows(database) == min(len(young), most)
    kept = {(network, jail): count for network, jail, count, _ in database.counts() if jail == "a"}
    assert kept.items() <= counts.items()
    if len(needed) <= most:
        assert kept == counts
    database.close()


def test_spent_failures_old_logins_and_ended_exemptions_go_and_the_others_stay(database: Database) -> None:
    failures = [Failure(jail, WHO, at, "x") for jail in "ab" for at in (1.0, 5.0)]
    logins = [Login(WHO, "old", 10.0), Login(WHO, "new", 11.0), Login(OTHER, " proxy", 9.0)]
    allowed = [Allowed(WHO, 1.0, 50.0, "x"), Allowed(OTHER, 1.0, None, "x"), Allowed(THIRD, 1.0, 40.0, "x")]
    database.write([*failures, *logins, *allowed])
    prune(database, Limits({"a": 1.0}, logins=10.0, allowed=50.0, still_allowed=frozenset((THIRD,))))
    assert list(database.failures()) == [Failure("a", WHO, 5.0, "x")]
    assert database.logins() == [Login(WHO, "new", 11.0)]
    # The end of the last one was moved in memory, because the clock was set.
    assert {one.network for one in database.allowed()} == {OTHER, THIRD}


def test_a_row_that_took_the_number_of_a_found_one_is_not_deleted(database: Database) -> None:
    database.write(
        [Failure("a", WHO, 1.0, "old"), ended(10.0), Login(WHO, "x", 1.0), Allowed(WHO, 1.0, 5.0, "x")]
    )
    found = retention.overdue(database, Limits({"a": 1.0}, history=10.0, logins=1.0, allowed=5.0))
    assert len(found) == 4
    with database.transaction() as db:
        for table in ("failures", "history", "good"):
            db.execute(f"DELETE FROM {table}")
    failure, login, allowed = Failure("a", WHO, 9.0, "new"), Login(WHO, "x", 9.0), Allowed(WHO, 1.0, 9.0, "x")
    database.write([failure, ended(20.0), login, allowed])
    retention.delete(database, found)
    assert list(database.failures()) == [failure]
    assert history(database) == {("203.0.113.7/a", 20.0)}
    assert (database.logins(), database.allowed()) == ([login], [allowed])


def test_a_search_finds_a_limited_number_of_rows_and_the_next_one_the_rest(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_MOST_FOUND", 10)
    database.write([Failure("a", WHO, 1.0, "x") for _ in range(25)])
    assert len(retention.overdue(database, Limits({"a": 1.0}))) == 10
    prune(database, {"a": 1.0})
    assert list(database.failures()) == []


def test_a_log_that_is_gone_leaves_neither_positions_nor_a_zone(database: Database) -> None:
    position = Position("/x", 7, 1, b"h", b"t")
    database.write([position, replace(position, path="/y"), Zone("/x", 3600.0), Zone("/y", 3600.0)])
    database.write([LogGone("/x")])
    assert (list(database.positions()), list(database.zones())) == (["/y"], ["/y"])


def test_a_search_does_not_wait_for_a_commit(database: Database) -> None:
    database.write([Failure("a", WHO, 1.0, "x")])
    with database.transaction() as db:
        db.execute("DELETE FROM failures")
        assert len(retention.overdue(database, Limits({"a": 1.0}))) == 1


def test_a_database_that_cannot_be_read_is_a_sentence(database: Database) -> None:
    database.path.rename(database.path.with_name("elsewhere"))
    with pytest.raises(StoreError, match="unable to open"):
        retention.overdue(database, Limits({}))
