"""The database: transactions, migrations, pruning."""

import contextlib
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.model import LATEST, Ban, Extended, Failure, FailuresCleared, Position, StoreError, Unban
from sidecar.network import Network
from sidecar.store import migrations, rows
from sidecar.store.changes import Memo
from sidecar.store.database import FILE, Allowed, Database, Forgotten
from sidecar.store.errors import DamagedError, LaterError
from sidecar.store.repair.salvage import Salvage
from sidecar.store.upkeep.retention import MOST_FILES
from tests.store.pruning import prune

WHO = Network.parse("203.0.113.7")
SIX = Network.parse("2001:db8::/64")
BAN = Ban(WHO, "a", 1.0, None, "log", "why", 2, ("line ü", "two"), 3)


def test_everything_is_read_as_it_was_written(tmp_path: Path) -> None:
    database = Database(tmp_path)
    failure = Failure("a", SIX, 2.5, "line")
    position = Position("/x", 7, 2**40, b"head", b"tail")
    allowed = Allowed(SIX, 1.0, None, "test")
    database.write([BAN, failure, position, allowed])
    database.close()
    again = Database(tmp_path)
    assert list(again.bans()) == [BAN]
    assert list(again.failures()) == [failure]
    assert again.positions() == {"/x": [position]}
    assert again.allowed() == [allowed]
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    again.close()


def test_a_transaction_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    database = Database(tmp_path)
    broken = Failure("a", WHO, "no time", object())  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        database.write([BAN, broken])
    assert list(database.bans()) == []
    database.write([BAN])
    assert list(database.bans()) == [BAN]
    database.close()


def test_a_ban_takes_its_failures_with_it_and_an_unban_leaves_a_count(tmp_path: Path) -> None:
    database = Database(tmp_path)
    database.write([Failure("a", WHO, 1.0, "x"), Failure("b", WHO, 1.0, "x"), BAN])
    assert [f.jail for f in database.failures()] == ["b"]
    database.write([Extended(BAN), Unban(WHO, "a", 9.0, "expired")])
    assert list(database.bans()) == []
    assert [(network, jail, count) for network, jail, count, _ in database.counts()] == [(WHO, "a", 3)]
    database.close()


def test_a_longer_ban_keeps_the_lines_that_began_it_and_an_unban_takes_them_along(tmp_path: Path) -> None:
    database = Database(tmp_path)
    database.write([BAN, Extended(BAN._replace(until=9.0, evidence=("a later line",)))])
    assert database.bans([(WHO, "a")]) == [BAN._replace(until=9.0)]
    database.write([Unban(WHO, "a", 9.0, "expired"), BAN._replace(evidence=())])
    assert [ban.evidence for ban in database.bans()] == [()]
    database.close()


def test_what_bans_held_goes_back_to_the_disk_when_they_are_gone(tmp_path: Path) -> None:
    database = Database(tmp_path)
    lines = ("a line of a log" * 20,)
    bans = [BAN._replace(network=Network(4, n, 32), dry=True, evidence=lines) for n in range(20_000)]
    database.write(bans)
    database._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    full = database.bytes()
    database.write([Unban(ban.network, "a", 9.0, "expired") for ban in bans])
    prune(database, {})
    database._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert database.bytes() < full / 4
    database.close()


def test_two_threads_write_one_after_the_other(tmp_path: Path) -> None:
    database = Database(tmp_path)
    batches = [[Failure("a", WHO, float(at), "x") for at in range(3000)] for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(database.write, batches))
        list(threads.map(lambda _: prune(database, {"a": -1.0}), range(4)))
    assert len(list(database.failures())) == 12000
    database.close()


@pytest.mark.parametrize("line", ["\udce9", object(), float("nan")])
def test_no_value_leaves_a_transaction_open(tmp_path: Path, line: object) -> None:
    database = Database(tmp_path)
    broken = Failure("a", WHO, line if isinstance(line, float) else 1.0, line)  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        database.write([BAN, broken])
    database.write([BAN])
    assert list(database.bans()) == [BAN]
    database.close()


def test_spent_failures_count_no_more(tmp_path: Path) -> None:
    database = Database(tmp_path)
    database.write([Failure("a", WHO, 1.0, "x"), Failure("b", WHO, 1.0, "x"), FailuresCleared("a", WHO)])
    assert [f.jail for f in database.failures()] == ["b"]
    database.close()


def test_an_unban_forgets_the_failures_of_every_address_inside(tmp_path: Path) -> None:
    database = Database(tmp_path)
    other = Network.parse("198.51.100.1")
    database.write([Failure(jail, who, 1.0, "x") for jail in "ab" for who in (WHO, other)])
    database.write([Forgotten(Network.parse("203.0.113.0/24"), "a")])
    assert {(f.jail, f.network) for f in database.failures()} == {("b", WHO), ("a", other), ("b", other)}
    database.write([Forgotten(Network.parse("203.0.113.0/24"), None)])
    assert {f.network for f in database.failures()} == {other}
    database.close()


def test_pruning_drops_what_is_older_than_the_window(tmp_path: Path) -> None:
    database = Database(tmp_path)
    database.write([Failure("a", WHO, float(at), "x") for at in range(5)])
    prune(database, {"a": 2.0})
    assert [f.at for f in database.failures()] == [3.0, 4.0]
    database.close()


def test_each_content_of_a_log_keeps_its_position_and_the_one_read_last_comes_first(tmp_path: Path) -> None:
    database = Database(tmp_path)
    named = (("/x", 1), ("/x", 2), ("/y", 1))
    old, new, other = (Position(path, 7, 5, b"h", b"t", content) for path, content in named)
    database.write([old, new, other])
    assert database.positions() == {"/x": [new, old], "/y": [other]}
    later = replace(old, offset=9)
    database.write([later])
    assert database.positions() == {"/x": [later, new], "/y": [other]}
    database.write([replace(new, offset=7), replace(later, offset=10)])
    assert [p.offset for p in database.positions()["/x"]] == [10, 7]
    database.close()


def test_pruning_keeps_the_contents_of_a_log_that_were_read_last(tmp_path: Path) -> None:
    database = Database(tmp_path)
    database.write(
        [
            Position(path, 7, 1, b"h", b"t", content)
            for content in range(MOST_FILES + 4)
            for path in ("/x", "/y")
        ]
    )
    database.write([Position("/x", 7, 2, b"h", b"t", 0), Position("/z", 1, 1, b"h", b"t")])
    prune(database, {})
    found = database.positions()
    assert [p.content for p in found["/x"]] == [0, *range(MOST_FILES + 3, 4, -1)]
    assert [p.content for p in found["/y"]] == list(range(MOST_FILES + 3, 3, -1))
    assert len(found["/z"]) == 1
    database.close()


# A made-up second version: a column for bans, and a table.
STEP = """
ALTER TABLE bans ADD COLUMN country TEXT NOT NULL DEFAULT 'unknown';
CREATE TABLE countries (country TEXT PRIMARY KEY);
INSERT INTO countries SELECT DISTINCT country FROM bans;
"""


def countries(database: Database) -> list[Any]:
    return database._db.execute("SELECT * FROM countries").fetchall()


def test_a_step_of_the_schema_is_applied_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path)
    database.write([BAN])
    database.close()
    before = (tmp_path / FILE).read_bytes()
    steps = [*migrations.STEPS]
    monkeypatch.setattr(migrations, "STEPS", [*steps, STEP + "INSERT INTO no_such_table VALUES (1);"])
    with pytest.raises(DamagedError, match="tables do not fit schema version 2"):
        Database(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
    monkeypatch.setattr(migrations, "STEPS", [*steps, STEP])
    database = Database(tmp_path)
    assert not database.fresh
    assert countries(database) == [("unknown",)]
    assert database.bans() == [BAN]
    database.close()
    # The step is applied only once, and a new database gets all steps.
    database = Database(tmp_path)
    assert countries(database) == [("unknown",)]
    database.close()
    database = Database(tmp_path / "new")
    assert database.fresh
    assert countries(database) == []
    database.close()
    monkeypatch.setattr(migrations, "STEPS", steps)
    with pytest.raises(LaterError, match="later version"):
        Database(tmp_path)


def test_the_history_of_a_ban_names_who_banned_and_who_lifted_it(tmp_path: Path) -> None:
    with contextlib.closing(Database(tmp_path)) as database:
        database.write([BAN._replace(by="alice"), Unban(WHO, "a", 5.0, "manual", by="bob")])
        assert database._db.execute("SELECT actor, ended_by FROM history").fetchall() == [("alice", "bob")]


def version_1(directory: Path) -> None:
    """A database as the first version wrote it, with a ban, an ended one and an allowed network."""
    directory.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(directory / FILE)
    db.executescript(f"PRAGMA auto_vacuum=INCREMENTAL; {migrations.script(1)} PRAGMA user_version=1;")
    key, values = rows.key_of(BAN.network), (BAN.jail, BAN.at, BAN.until, BAN.origin, BAN.reason)
    db.execute("INSERT INTO bans VALUES (1,?,?,?,?,?,?,?,?,0)", (key, *values, BAN.failures, BAN.times))
    db.execute("INSERT INTO evidence VALUES (1,?)", (json.dumps(BAN.evidence),))
    db.execute("INSERT INTO history VALUES (?,'old',1.0,2.0,2.0,'expired','log','why',1,1)", (key,))
    db.execute("INSERT INTO allowed VALUES (?,1.0,NULL,'customer')", (key,))
    db.commit()
    db.close()


def test_a_database_of_the_first_version_keeps_everything_and_names_nobody(tmp_path: Path) -> None:
    version_1(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    # A command without a service reads it as it is, and leaves it so.
    with contextlib.closing(Database(tmp_path, read_only=True)) as reader:
        assert reader.bans() == [BAN]
    assert (tmp_path / FILE).read_bytes() == before
    with contextlib.closing(Database(tmp_path)) as database:
        assert database.bans() == [BAN]
        assert database.history([(BAN.network, "old")])
        assert database.allowed() == [Allowed(BAN.network, 1.0, None, "customer")]
        database.write([BAN._replace(jail="manual", by="alice"), Memo("switch", "smtp", "on", 5.0)])
        # Rows of both versions lie in one table now, and both are salvaged.
        assert database.memos() == [Memo("switch", "smtp", "on", 5.0)]
    salvage = Salvage(tmp_path / FILE)
    found = salvage.first(10.0)
    assert not salvage.found.broken
    assert {(one.jail, one.by) for one in found if isinstance(one, Ban)} == {
        (BAN.jail, ""),
        ("manual", "alice"),
    }
    assert Allowed(BAN.network, 1.0, None, "customer") in found
    assert Memo("switch", "smtp", "on", 5.0) in found
    with contextlib.closing(Database(tmp_path)) as database:
        database.write([Memo("switch", "smtp", None, 6.0)])
        assert database.memos() == []


@given(
    st.lists(st.tuples(st.integers(0, 2**16 - 1), st.sampled_from((16, 24, 30, 32))), max_size=12),
    st.integers(8, 32),
)
def test_the_failures_of_exactly_the_networks_inside_are_forgotten(
    places: list[tuple[int, int]], length: int
) -> None:
    database = Database(Path("unused"), memory=True)
    networks = [Network(4, 0xC6330000 + value, 32).supernet(n) for value, n in places]
    networks += [SIX, Network.parse("2001:db8::1")]
    database.write([Failure(jail, network, 1.0, "x") for network in networks for jail in ("a", "b")])
    wide = Network(4, 0xC6330000 + (places[0][0] if places else 0), 32).supernet(length)
    database.write([Forgotten(wide, "a"), Forgotten(Network.parse("2001:db8::/32"), None)])
    left = {(failure.network, failure.jail) for failure in database.failures()}
    four = [network for network in networks if network.version == 4]
    assert left == {(n, jail) for n in four for jail in ("a", "b") if jail == "b" or not wide.covers(n)}
    database.close()


def test_a_file_that_is_no_database_is_named_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database, only text" * 100)
    with pytest.raises(StoreError, match="zmban run sets the file aside"):
        Database(tmp_path)


def test_times_that_no_calendar_shows_are_read_as_some_that_it_does(tmp_path: Path) -> None:
    database = Database(tmp_path)
    ends = [None, 5.0, 1e12, 9e99, float("inf"), -1e99, "x"]
    database.write([replace_end(number, end) for number, end in enumerate(ends)])
    database.write([Allowed(WHO, 1.0, 1e12, "test")])
    assert [ban.until for ban in database.active_bans()] == [None, 5.0, None, None, None, 0.0, None]
    assert [ban.until for ban in database.bans()] == [None, 5.0, None, None, None, 0.0, None]
    assert database.count_beyond_calendar() == 4
    assert [one.until for one in database.allowed()] == [None]
    assert all(0 <= ban.at <= LATEST for ban in database.active_bans())
    database.close()


def replace_end(number: int, end: Any) -> Ban:
    return BAN._replace(jail=str(number), at=9e99, until=end)
