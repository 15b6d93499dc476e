"""Attackers are banned, and nothing is lost, with a full disk, without permission, or with a locked database."""

from __future__ import annotations

import signal
import sqlite3

import pytest

from sidecar.store.database import FILE
from tests.app.running import Running, until
from tests.app.test_service import EVIL, blackholes
from tests.cli.running import zmban
from tests.faults.trouble import (
    BANNED,
    NEW,
    PATIENCE,
    attackers,
    disk,
    fill,
    goes_on,
    is_whole_again,
    remount,
    rows,
)
from tests.netns import Namespace

pytestmark = pytest.mark.kernel


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
        # After the kill the last changes are only in the write-ahead log.
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
