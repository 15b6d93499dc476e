"""The database in trouble, in the whole service: who attacks is banned all the same, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.app.enforcer import CANARY
from sidecar.model import Ban
from sidecar.network import Network
from sidecar.store.database import FILE, Database
from tests.app.running import Running, until
from tests.app.test_service import EVIL, OTHER, blackholes
from tests.app.test_trouble import MANY, started
from tests.cli.running import zmban
from tests.kernel.conftest import notifications
from tests.netns import Namespace, program, run

pytestmark = pytest.mark.kernel
NEW, LOW, ONCE, FRIEND = "203.0.113.9", "10.63.0.9", "198.51.100.77", "203.0.113.50"
PAGE = 4096
# A read of the state of a service that writes nothing comes at most this late after the cure.
PATIENCE = 40.0


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A service and its places, not started yet; killed by its id if the test left it running."""
    made = Running(tmp_path)
    made.state.mkdir()
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait(20)


@contextlib.contextmanager
def disk(state: Path) -> Iterator[None]:
    """A small disk of its own under the state directory."""
    run(program("mount", "mount"), "-t", "tmpfs", "-o", "size=4m", "zmban-test", str(state))
    try:
        yield
    finally:
        run(program("umount", "mount"), "-l", str(state))


def remount(state: Path, how: str) -> None:
    run(program("mount", "mount"), "-o", f"remount,{how}", str(state))


def fill(state: Path) -> Path:
    """Write until nothing more fits; the file to remove."""
    filler = state / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, PAGE):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return filler


def rows(running: Running, query: str) -> list[Any]:
    """What the file on disk says, beside the service that may be writing to it."""
    with contextlib.closing(sqlite3.connect(f"{(running.state / FILE).as_uri()}?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


def attackers(running: Running) -> None:
    """Two who are banned, one who failed once, one who is allowed; all of it in the file."""
    running.start()
    running.attack(EVIL)
    running.attack("2001:db8:7::7")
    running.attack(ONCE, times=1)
    running.ask("allow", FRIEND, "--reason", "on the telephone")
    running.ask("ban", "203.0.113.64/26", "--reason", "research", "--for", "5h")
    until(lambda: rows(running, "SELECT count(*) FROM failures") == [(1,)])
    until(lambda: rows(running, "SELECT count(*) FROM bans") == [(3,)])


BANNED = {EVIL, "2001:db8:7::/64", "203.0.113.64/26"}


def goes_on(host: Namespace, running: Running, word: str, banned: set[str] = BANNED) -> None:
    """Who attacks now is banned; the database is told of as what it is."""
    started(running)
    until(lambda: word in running.get("/readyz")[1], 30)
    until(lambda: banned <= blackholes(host))
    running.attack(NEW)
    until(lambda: blackholes(host) == banned | {NEW})
    assert running.get("/readyz")[0] == 503
    assert running.metric('zmban_store_failing{reason="unwritten"}') == 1
    assert word in running.ask("status")[0]["store"]


def is_whole_again(host: Namespace, running: Running, banned: set[str] = BANNED) -> None:
    """Everything is written once, and is there after a kill."""
    until(lambda: running.get("/readyz")[0] == 200, PATIENCE)
    assert running.metric('zmban_store_failing{reason="unwritten"}') == 0
    assert running.ask("status")[0]["store"] == "good"
    running.stop(signal.SIGKILL)
    assert rows(running, "SELECT count(*) FROM bans") == [(len(banned) + 1,)]
    # He who failed once before the trouble, or in it.
    assert rows(running, "SELECT count(*) FROM failures") == [(1,)]
    running.start()
    assert blackholes(host) == banned | {NEW}
    running.attack(ONCE, times=1)
    until(lambda: blackholes(host) == banned | {NEW, ONCE})


def test_a_full_disk_keeps_nobody_from_being_banned_and_nothing_is_lost_when_it_is_freed(
    host: Namespace, running: Running
) -> None:
    with disk(running.state):
        attackers(running)
        filler = fill(running.state)
        running.attack(NEW)
        until(lambda: blackholes(host) == BANNED | {NEW})
        until(lambda: "full" in running.get("/readyz")[1])
        assert running.metric('zmban_store_failing{reason="unwritten"}') == 1
        assert "full" in running.ask("status")[0]["store"]
        assert rows(running, "SELECT count(*) FROM bans") == [(3,)]
        filler.unlink()
        is_whole_again(host, running)


def test_a_disk_that_is_full_at_the_start_is_no_reason_not_to_start(
    host: Namespace, running: Running
) -> None:
    with disk(running.state):
        attackers(running)
        running.stop()
        host.ip("route", "flush", "table", "2520")
        host.ip("-6", "route", "flush", "table", "2520")
        filler = fill(running.state)
        goes_on(host, running, "held in memory only")
        filler.unlink()
        is_whole_again(host, running)


def test_a_read_only_disk_is_read_and_written_to_when_it_can_be(host: Namespace, running: Running) -> None:
    with disk(running.state):
        attackers(running)
        # Killed: the last of it is in the write-ahead log only.
        running.stop(signal.SIGKILL)
        host.ip("route", "flush", "table", "2520")
        host.ip("-6", "route", "flush", "table", "2520")
        remount(running.state, "ro")
        goes_on(host, running, "Read-only file system")
        answer = zmban("ban", "203.0.113.10", "--reason", "x", "--socket", running.socket)
        assert answer.returncode == 69
        assert "held in memory only" in answer.stderr
        remount(running.state, "rw")
        is_whole_again(host, running, BANNED | {"203.0.113.10"})


def test_without_a_place_to_write_the_kernel_s_own_bans_are_taken_back(
    host: Namespace, running: Running
) -> None:
    with disk(running.state):
        remount(running.state, "ro")
        host.ip("route", "add", "blackhole", EVIL, "table", "2520", "proto", "222")
        goes_on(host, running, "Read-only file system", {EVIL})
        (record,) = running.ask("bans", "--contains", EVIL)
        assert (record["origin"], record["until"]) == ("import", None)
        assert record["reason"] == "taken back from the kernel: there was no database"
        remount(running.state, "rw")
        until(lambda: running.get("/readyz")[0] == 200, PATIENCE)
        assert rows(running, "SELECT count(*) FROM bans") == [(2,)]


def test_a_state_directory_that_cannot_be_made_is_no_reason_not_to_start(
    host: Namespace, running: Running
) -> None:
    place, running.state = running.state, running.state / "deeper"
    with disk(place):
        remount(place, "ro")
        goes_on(host, running, "Read-only file system", set())
        remount(place, "rw")
        until(lambda: running.get("/readyz")[0] == 200, PATIENCE)
        assert rows(running, "SELECT jail FROM bans") == [("smtp",)]


@pytest.mark.parametrize("lock", ["BEGIN EXCLUSIVE", "PRAGMA locking_mode=EXCLUSIVE; BEGIN IMMEDIATE"])
def test_a_database_that_somebody_else_has_locked_is_read_past_the_lock(
    host: Namespace, running: Running, lock: str
) -> None:
    attackers(running)
    running.stop()
    other = sqlite3.connect(running.state / FILE, isolation_level=None)
    for statement in lock.split("; "):
        other.execute(statement)
    goes_on(host, running, "locked")
    other.close()
    is_whole_again(host, running)


def test_a_lock_that_comes_while_running_is_waited_for(host: Namespace, running: Running) -> None:
    attackers(running)
    other = sqlite3.connect(running.state / FILE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    running.attack(NEW)
    until(lambda: blackholes(host) == BANNED | {NEW})
    until(lambda: "locked" in running.get("/readyz")[1], 30)
    other.close()
    is_whole_again(host, running)


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
        # But for the friend, who is allowed no more where nothing is left that says so.
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
    # He failed once before, in a line that was counted, or is read again.
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
    assert "1 bans are taken back from the kernel" in running.said()


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
    # More than is held in memory of it.
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
    # Its place among the others lies on a page that is not in memory.
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
    assert "taken back" not in running.said()
