"""Causes faults of the database, and checks what must still work."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sidecar.store.database import FILE
from tests.app.running import Running, until
from tests.app.test_service import EVIL, blackholes
from tests.app.test_trouble import started
from tests.netns import Namespace, program, run

NEW, LOW, ONCE, FRIEND = "203.0.113.9", "10.63.0.9", "198.51.100.77", "203.0.113.50"


PAGE = 4096


# Timeout for the recovery of a service after the fault is gone.
PATIENCE = 40.0


@contextlib.contextmanager
def disk(state: Path) -> Iterator[None]:
    """A small separate disk for the state directory."""
    run(program("mount", "mount"), "-t", "tmpfs", "-o", "size=4m", "zmban-test", str(state))
    try:
        yield
    finally:
        run(program("umount", "mount"), "-l", str(state))


def remount(state: Path, how: str) -> None:
    run(program("mount", "mount"), "-o", f"remount,{how}", str(state))


def fill(state: Path) -> Path:
    """Fill the disk; returns the file to remove."""
    filler = state / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, PAGE):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return filler


def rows(running: Running, query: str) -> list[Any]:
    """Query the database file while the service may write to it."""
    with contextlib.closing(sqlite3.connect(f"{(running.state / FILE).as_uri()}?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


def attackers(running: Running) -> None:
    """Two bans, one failure and one allowed network, all committed."""
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
    """Check that a new attacker is banned, and that the state of the database is reported."""
    started(running)
    until(lambda: word in running.get("/readyz")[1], 30)
    until(lambda: banned <= blackholes(host))
    running.attack(NEW)
    until(lambda: blackholes(host) == banned | {NEW})
    assert running.get("/readyz")[0] == 503
    assert running.metric('zmban_store_failing{reason="unwritten"}') == 1
    assert word in running.ask("status")[0]["store"]


def is_whole_again(host: Namespace, running: Running, banned: set[str] = BANNED) -> None:
    """Check that everything is written once, and survives a kill."""
    until(lambda: running.get("/readyz")[0] == 200, PATIENCE)
    assert running.metric('zmban_store_failing{reason="unwritten"}') == 0
    assert running.ask("status")[0]["store"] == "good"
    running.stop(signal.SIGKILL)
    assert rows(running, "SELECT count(*) FROM bans") == [(len(banned) + 1,)]
    # The single failure from before or during the fault.
    assert rows(running, "SELECT count(*) FROM failures") == [(1,)]
    running.start()
    assert blackholes(host) == banned | {NEW}
    running.attack(ONCE, times=1)
    until(lambda: blackholes(host) == banned | {NEW, ONCE})
