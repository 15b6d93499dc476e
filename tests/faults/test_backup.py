"""A backup of a running service brings everything back; no backup and no compaction keeps a ban from the kernel."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sqlite3
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from sidecar.kernel.backend import Entry
from sidecar.model import Ban
from sidecar.network import Network
from sidecar.store.database import FILE
from sidecar.store.upkeep import online_copy, space
from tests.app.running import Running, in_process, until
from tests.app.test_service import blackholes
from tests.cli.running import ZMBAN, records, zmban
from tests.faults.trouble import BANNED, FRIEND, NEW, ONCE, attackers, disk, fill, is_whole_again, rows
from tests.netns import Namespace

pytestmark = pytest.mark.kernel
LIFTED, LATER = "203.0.113.33", "203.0.113.34"
TABLES = ("bans", "evidence", "history", "failures", "positions", "allowed", "zones", "good", "memos")


def content(file: Path) -> dict[str, list[Any]]:
    """All rows of a database."""
    with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as db:
        return {table: sorted(map(repr, db.execute(f"SELECT * FROM {table}"))) for table in TABLES}


def backup(running: Running, file: Path, *options: str) -> dict[str, Any]:
    (answer,) = running.ask("backup", str(file), *options)
    return answer


def put_in_place(running: Running, file: Path) -> None:
    """Restore a backup, as docs/commands.md says."""
    for suffix in ("-wal", "-shm"):
        (running.state / f"{FILE}{suffix}").unlink(missing_ok=True)
    shutil.copy(file, running.state / FILE)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
def test_a_backup_that_is_put_in_the_place_of_the_database_brings_everything_back(
    host: Namespace, running: Running, tmp_path: Path, stop: signal.Signals
) -> None:
    attackers(running)
    running.ask("ban", LIFTED, "--reason", "a mistake")
    running.ask("unban", LIFTED)
    saved = tmp_path / "saved"
    answer = backup(running, saved)
    assert (answer["bans"], answer["history"], answer["warnings"]) == (3, 1, [])
    before, known = content(saved), {record["network"]: record for record in running.ask("bans")}
    assert all(before[table] for table in ("bans", "evidence", "history", "failures", "positions", "allowed"))
    # Later changes: a ban by the log, one by hand, a lifted one, an exemption that ends.
    running.attack(NEW)
    running.ask("ban", LATER, "--reason", "later")
    running.ask("unban", "203.0.113.64/26")
    running.ask("disallow", FRIEND)
    until(lambda: NEW in blackholes(host))
    running.stop(stop)
    put_in_place(running, saved)
    running.start()
    # The lines behind the saved position are read again; what was done by hand later is gone.
    until(lambda: blackholes(host) == BANNED | {NEW})
    after = {record["network"]: record for record in running.ask("bans")}
    assert after.pop(f"{NEW}/32")["origin"] == "log"
    assert after == known
    assert running.ask("status")[0]["store"] == "good"
    running.stop()
    now = content(running.state / FILE)
    # What the daily report knows is saved at the stop.
    for one in (now, before):
        one["memos"] = [memo for memo in one["memos"] if not memo.startswith("('review")]
    for table in ("history", "failures", "allowed", "zones", "memos"):
        assert now[table] == before[table], table
    # The counter that was saved goes on: one more failure is enough.
    running.start()
    running.attack(ONCE, times=1)
    until(lambda: blackholes(host) == BANNED | {NEW, ONCE})


def test_a_backup_goes_to_standard_output_and_can_be_read_without_a_service(
    host: Namespace, running: Running, tmp_path: Path
) -> None:
    attackers(running)
    done = zmban("compact", "--socket", running.socket, "--state", running.state)
    assert (done.returncode, "bytes before" in done.stdout) == (0, True)
    with (tmp_path / "out").open("wb") as out:
        command = [ZMBAN, "backup", "-", "--socket", running.socket, "--state", running.state]
        subprocess.run([*map(str, command)], stdout=out, check=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "out").rename(tmp_path / "other" / FILE)
    listed = records(zmban("bans", "--state", tmp_path / "other", "--socket", tmp_path / "none", "--jsonl"))
    assert {Network.parse(record["network"]) for record in listed} == {*map(Network.parse, BANNED)}
    assert all(path.name.startswith(FILE) for path in running.state.iterdir() if path.is_file())


def test_a_full_disk_leaves_no_half_backup_and_disturbs_nothing(
    host: Namespace, running: Running, tmp_path: Path
) -> None:
    attackers(running)
    (tmp_path / "small").mkdir()
    with disk(tmp_path / "small"):
        (tmp_path / "small/older").write_text("mine")
        filler = fill(tmp_path / "small")
        for name in ("new", "older"):
            done = zmban("backup", tmp_path / "small" / name, "--force", "--socket", running.socket)
            assert (done.returncode, done.stdout) == (65, "")
            assert "full" in done.stderr
        assert {path.name for path in (tmp_path / "small").iterdir()} == {"older", "filler"}
        assert (tmp_path / "small/older").read_text() == "mine"
        running.attack(NEW)
        until(lambda: blackholes(host) == BANNED | {NEW})
        filler.unlink()
        assert backup(running, tmp_path / "small/older", "--force")["bans"] == 4


def test_a_backup_on_another_disk_has_what_a_full_disk_cannot_take(
    host: Namespace, running: Running, tmp_path: Path
) -> None:
    with disk(running.state):
        attackers(running)
        filler = fill(running.state)
        running.attack(NEW)
        until(lambda: "full" in running.get("/readyz")[1])
        answer = backup(running, tmp_path / "saved")
        assert "cannot save its decisions" in answer["warnings"][0]
        assert (answer["bans"], rows(running, "SELECT count(*) FROM bans")) == (4, [(3,)])
        filler.unlink()
        is_whole_again(host, running)


async def test_while_a_database_is_compacted_or_copied_bans_reach_the_kernel_at_once(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    compact, copy = space.compact, online_copy.OnlineCopy._copy

    def held(work: Any) -> Any:
        def wait(*arguments: Any) -> None:
            begun.set()
            go.wait(20)
            work(*arguments)

        return wait

    monkeypatch.setattr(space, "compact", held(compact))
    monkeypatch.setattr(online_copy.OnlineCopy, "_copy", held(copy))
    async with in_process(tmp_path) as one:
        asked: tuple[tuple[str, dict[str, str]], ...] = (
            ("compact", {}),
            ("backup", {"file": str(tmp_path / "saved")}),
        )
        for number, (command, arguments) in enumerate(asked):
            begun.clear()
            go.clear()
            work = asyncio.create_task(one.tell(command, **arguments))
            await asyncio.to_thread(begun.wait, 10)
            who = Network.parse(f"203.0.113.{number}")
            one.ban(Ban(who, "smtp", 1.0, None, "log", "2 failures", 2))
            assert one.present()[who] is Entry.BAN
            if command == "backup":
                # Only a compaction delays the commit.
                assert await one.commit_queue.commit() is None
            assert not work.done()
            go.set()
            await work
            assert await one.commit_queue.commit() is None
        assert len(one.commit_queue.database.bans()) == 2
