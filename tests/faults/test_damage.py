"""Attackers are banned even if the database is damaged, missing or of a later version."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.app.enforce.proof import CANARY
from sidecar.model import Ban
from sidecar.network import Network
from sidecar.store.database import FILE, Database
from tests.app.running import Running, until
from tests.app.test_service import EVIL, OTHER, blackholes
from tests.app.test_trouble import MANY
from tests.cli.running import zmban
from tests.faults.trouble import BANNED, FRIEND, LOW, NEW, ONCE, PAGE, attackers, is_whole_again, rows
from tests.kernel.conftest import notifications
from tests.netns import Namespace
from tests.store.damaging import realistic

pytestmark = pytest.mark.kernel


def garbage(file: Path, start: int, end: int | None = None) -> None:
    end = file.stat().st_size if end is None else end
    with file.open("r+b") as opened:
        opened.seek(start)
        opened.write(random.Random(start).randbytes(end - start))


DAMAGE: dict[str, Callable[[Path], None]] = {
    "its first bytes": lambda file: garbage(file, 0, 100),
    "a page in the middle": lambda file: garbage(file, 2 * PAGE, 3 * PAGE),
    "all but the first page": lambda file: garbage(file, PAGE),
    "all of it": lambda file: garbage(file, 0),
    "its end": lambda file: os.truncate(file, 3 * PAGE + 99),
    "its write-ahead log": lambda file: garbage(file.with_name(f"{FILE}-wal"), 8),
}


@pytest.mark.parametrize("damaged", DAMAGE)
def test_a_damaged_database_is_set_aside_and_no_ban_that_anybody_knows_of_is_lifted(
    host: Namespace, running: Running, damaged: str
) -> None:
    attackers(running)
    if "log" in damaged:
        running.stop(signal.SIGKILL)
    else:
        running.stop()
    DAMAGE[damaged](running.state / FILE)
    with notifications() as changes:
        running.start()
        assert blackholes(host) == BANNED
        # One change at most: the allowed network, if the entry for it is lost.
        assert changes() <= 1
    assert running.metric('zmban_store_failing{reason="set-aside"}') == 1
    assert running.metric('zmban_store_failing{reason="unwritten"}') == 0
    assert "set aside as" in running.ask("status")[0]["store"]
    assert "was set aside as" in running.said()
    records = {r["network"]: r for r in running.ask("bans")}
    if damaged == "its first bytes":
        assert records["203.0.113.64/26"]["reason"] == "research"
        assert records[f"{EVIL}/32"]["jail"] == "smtp"
    if damaged == "all of it":
        assert {r["origin"] for r in records.values()} <= {"import", "log"}
        assert records["203.0.113.64/26"]["until"] is None
        assert "the database was damaged" in records["203.0.113.64/26"]["reason"]
    running.attack(NEW)
    until(lambda: blackholes(host) == BANNED | {NEW})
    for file in running.state.glob(f"{FILE}.damaged-*"):
        file.unlink()
    assert running.metric('zmban_store_failing{reason="set-aside"}') == 0
    running.stop(signal.SIGKILL)
    running.start()
    assert blackholes(host) == BANNED | {NEW}
    # One earlier failure, in a line that was counted or is read again.
    running.attack(ONCE, times=1)
    until(lambda: blackholes(host) == BANNED | {NEW, ONCE})
    assert len(running.ask("bans", "--contains", NEW)) == 1


@pytest.mark.parametrize("gone", [lambda file: file.unlink(), lambda file: os.truncate(file, 0)])
def test_where_the_database_is_gone_the_kernel_s_bans_are_taken_back(
    host: Namespace, running: Running, gone: Callable[[Path], None]
) -> None:
    attackers(running)
    running.stop()
    gone(running.state / FILE)
    running.log.write_text("")
    with notifications() as changes:
        running.start()
        assert blackholes(host) == BANNED
        assert changes() <= 1
    assert {r["reason"] for r in running.ask("bans")} == {"taken back from the kernel: there was no database"}
    running.stop(signal.SIGKILL)
    running.start()
    assert blackholes(host) == BANNED


def test_what_is_taken_back_from_the_kernel_gives_way_to_what_the_log_says_when_it_is_read_again(
    host: Namespace, running: Running
) -> None:
    running.start()
    running.attack(EVIL)
    running.attack(OTHER)
    running.ask("ban", "203.0.113.64/26", "--reason", "research", "--for", "5h")
    running.stop()
    (running.state / FILE).unlink()
    with notifications() as changes:
        running.start()
        until(lambda: rows(running, "SELECT count(*) FROM bans") == [(3,)])
        assert changes() == 0
    records = {r["network"]: r for r in running.ask("bans")}
    assert len(records) == len(running.ask("bans"))
    assert {n: (r["jail"], r["origin"], r["count"]) for n, r in records.items()} == {
        f"{EVIL}/32": ("smtp", "log", 1),
        f"{OTHER}/32": ("smtp", "log", 1),
        "203.0.113.64/26": ("import", "import", 0),
    }
    assert all(len(records[f"{n}/32"]["evidence"]) == 2 for n in (EVIL, OTHER))
    assert running.metric('zmban_bans_active{jail="smtp"}') == 2
    assert running.metric('zmban_bans_active{jail="import"}') == 1
    assert running.metric('zmban_bans_total{jail="import",origin="import"}') == 3
    assert running.metric('zmban_unbans_total{jail="import"}') == 2
    assert rows(running, "SELECT jail, why, count(*) FROM history GROUP BY 1, 2") == [
        ("import", "replaced", 2)
    ]
    # An adopted ban also gives way after a restart.
    running.stop(signal.SIGKILL)
    running.start()
    running.attack("203.0.113.64")
    until(lambda: len(running.ask("bans", "--contains", "203.0.113.64")) == 2)
    assert blackholes(host) == {EVIL, OTHER, "203.0.113.64/26", "203.0.113.64"}


def test_a_stand_in_gives_way_after_a_restart_in_between(host: Namespace, running: Running) -> None:
    host.ip("route", "add", "blackhole", EVIL, "table", "2520", "proto", "222")
    running.start()
    until(lambda: rows(running, "SELECT jail, count FROM bans") == [("import", 0)])
    running.stop(signal.SIGKILL)
    running.start()
    running.attack(EVIL)
    until(lambda: rows(running, "SELECT jail, count FROM bans") == [("smtp", 1)])
    assert blackholes(host) == {EVIL}
    assert running.metric('zmban_bans_active{jail="import"}') == 0


def test_a_halved_database_is_no_reason_to_read_the_logs_later_nor_to_stop_later(
    host: Namespace, running: Running
) -> None:
    bans = realistic(running.state, 20_000)
    os.truncate(running.state / FILE, (running.state / FILE).stat().st_size // 2)
    begun = time.monotonic()
    running.start()
    running.attack(EVIL)
    until(lambda: EVIL in blackholes(host))
    assert time.monotonic() - begun < 15
    known = {ban.network.address for ban in bans}
    assert len(blackholes(host) & known) > len(bans) // 5
    stopping = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - stopping < 10
    # The salvage continues.
    running.start()
    until(lambda: running.metric('zmban_store_failing{reason="salvage"}') == 0, 120)
    assert EVIL in blackholes(host)
    assert "set aside as" in running.ask("status")[0]["store"]
    assert running.ask("status")[0]["salvage"] == []


def test_only_what_is_ours_is_taken_back_from_the_kernel_and_nobody_who_is_protected(
    host: Namespace, running: Running
) -> None:
    host.wire("mail0", "10.20.0.5/24")
    host.ip("route", "add", "default", "via", "10.20.0.1")
    for kind, network, protocol in (
        ("blackhole", EVIL, "222"),
        ("blackhole", "10.20.0.1", "222"),
        ("blackhole", "10.20.0.0/24", "222"),
        ("blackhole", CANARY.address, "222"),
        ("blackhole", "198.51.100.99", "99"),
        ("unreachable", "198.51.100.98", "222"),
        ("throw", "198.51.100.97", "222"),
    ):
        host.ip("route", "add", kind, network, "table", "2520", "proto", protocol)
    running.start()
    assert [r["network"] for r in running.ask("bans")] == [f"{EVIL}/32"]
    until(lambda: blackholes(host) == {EVIL, "198.51.100.99"})
    assert "throw 10.20.0.0/24 proto 222" in host.routes("2520")
    assert "1 ban restored from the routes in the kernel" in running.said()


def test_bans_that_are_taken_back_last_as_long_as_the_longest_of_the_jails(
    host: Namespace, tmp_path: Path
) -> None:
    running = Running(tmp_path)
    jail = tmp_path / "config/jail.d/test.conf"
    more = f"[other]\nenabled=true\nfilter=zimbra-smtp\nbantime=5d\nlogpath={running.log}\n"
    jail.write_text(jail.read_text().replace("bantime = -1", "bantime = 1h") + more, encoding="utf-8")
    host.ip("route", "add", "blackhole", EVIL, "table", "2520", "proto", "222")
    try:
        running.start()
        (record,) = running.ask("bans")
        assert record["until"] - record["since"] == 5 * 86400
    finally:
        running.stop()


def test_a_database_that_is_damaged_while_running_is_written_anew_from_memory(
    host: Namespace, running: Running
) -> None:
    # More than the page cache of SQLite holds.
    first, lines = Network.parse("10.64.0.0/10").value, ("an attack, as a log tells of it" * 20,)
    database = Database(running.state)
    database.write(
        Ban(Network(4, first + n, 32), "smtp", 1.0, None, "log", "", 5, lines) for n in range(MANY)
    )
    database.close()
    running.start()
    running.attack(EVIL)
    running.attack(ONCE, times=1)
    running.ask("allow", FRIEND, "--reason", "on the telephone")
    garbage(running.state / FILE, 0)
    # The row belongs on a page that is not in that cache.
    running.attack(LOW)
    until(lambda: {EVIL, LOW} <= blackholes(host))
    until(lambda: running.metric('zmban_store_failing{reason="set-aside"}') == 1, 30)
    until(lambda: running.metric('zmban_store_failing{reason="unwritten"}') == 0)
    running.attack(OTHER)
    until(lambda: OTHER in blackholes(host))
    until(lambda: rows(running, "SELECT count(*) FROM bans") == [(MANY + 3,)])
    assert rows(running, "SELECT count(*) FROM failures") == [(1,)]
    assert rows(running, "SELECT reason FROM allowed") == [("on the telephone",)]
    running.stop(signal.SIGKILL)
    running.start()
    assert len(blackholes(host)) == MANY + 3
    running.attack(ONCE, times=1)
    until(lambda: ONCE in blackholes(host))


def test_a_database_that_somebody_moves_away_while_running_is_written_anew(
    host: Namespace, running: Running, tmp_path: Path
) -> None:
    attackers(running)
    (running.state / FILE).rename(tmp_path / "moved")
    running.attack(NEW)
    until(lambda: blackholes(host) == BANNED | {NEW})
    until((running.state / FILE).exists)
    is_whole_again(host, running)


def test_a_database_of_a_later_version_is_left_alone_and_so_are_the_routes(
    host: Namespace, running: Running
) -> None:
    attackers(running)
    running.stop()
    before = host.routes("2520")
    with contextlib.closing(sqlite3.connect(running.state / FILE)) as db:
        db.execute("PRAGMA user_version=99")
    done = zmban(
        "--config", running.root / "config", "run", "--state", running.state, "--socket", running.socket
    )
    assert done.returncode != 0
    assert "later version" in done.stderr
    assert host.routes("2520") == before


def test_a_kill_between_the_two_names_of_a_new_database_loses_nothing(
    host: Namespace, running: Running
) -> None:
    attackers(running)
    running.stop()
    (running.state / FILE).rename(running.state / f"{FILE}.new")
    (running.state / f"{FILE}-wal").write_bytes(b"of the damaged one")
    running.start()
    assert running.banned() == {"203.0.113.64/26", f"{EVIL}/32", "2001:db8:7::/64"}
    assert "restored from the routes" not in running.said()
