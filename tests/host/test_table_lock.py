"""Two services never write the same table, and an unprivileged process cannot keep one from starting."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from sidecar.host import table_lock
from sidecar.kernel import owner
from sidecar.model import ConfigError
from sidecar.settings import KernelSettings
from tests.app.running import Running, service, until
from tests.app.test_service import EVIL, blackholes
from tests.cli.running import zmban
from tests.kernel.test_owner import child, squat
from tests.netns import Namespace

pytestmark = pytest.mark.kernel


def second(tmp_path: Path, settings: str = "") -> Running:
    """Another service with its own state, socket and configuration."""
    root = tmp_path / "second"
    root.mkdir()
    made = Running(root)
    (root / "config/zmban.toml").write_text(
        f'{settings}[serve]\nlisten = "127.0.0.1:9199"\n', encoding="utf-8"
    )
    return made


def test_a_second_service_with_another_state_is_refused_and_told_who_is_there(
    host: Namespace, tmp_path: Path
) -> None:
    with service(tmp_path) as running:
        running.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        before = host.routes("2520")
        other = second(tmp_path)
        other.launch()
        assert other.process is not None and running.process is not None
        assert other.process.wait(30) == 78
        told = f"another zmban in this network writes table 2520: process {running.process.pid} with state {running.state}"
        assert told in other.said() and "stop one of them" in other.said()
        assert "Traceback" not in other.said()
        assert not (other.state / "zmban.sqlite3").exists()
        assert host.routes("2520") == before
        running.ask("unban", EVIL)
        assert not blackholes(host)
        assert running.metric('zmban_kernel_drift_total{kind="route"}') == 0


def test_a_dry_run_and_one_on_a_table_of_its_own_run_beside_it(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        other = second(tmp_path, "[kernel]\ntable = 2521\n")
        for options in (["--dry-run"], []):
            other.launch(*options)
            try:
                until(lambda: zmban("status", "--socket", other.socket).returncode == 0)
            finally:
                assert other.stop() == 0
        assert running.metric('zmban_kernel_drift_total{kind="route"}') == 0


def test_a_flush_without_a_service_says_whose_routes_come_back(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        nowhere = ("--socket", tmp_path / "none.sock")
        done = zmban("flush", *nowhere, "--state", tmp_path / "other")
        assert done.returncode == 0
        assert f"with state {running.state}, writes its routes again" in done.stderr
        done = zmban("flush", *nowhere, "--state", running.state)
        assert "writes its routes again" not in done.stderr
        until(lambda: running.metric("zmban_enforced") == 0)
        assert host.routes("2520") == []


def test_a_user_without_rights_who_holds_the_name_keeps_nobody_from_starting_and_is_told(
    host: Namespace, tmp_path: Path
) -> None:
    with child(squat) as pid, service(tmp_path) as running:
        running.attack(EVIL)
        until(lambda: blackholes(host) == {EVIL})
        (doubt,) = (text for text in running.ask("status")[0]["doubts"] if "holds the lock" in text)
        assert f"user 65534, process {pid}" in doubt


async def taken(state: Path, table: int = 2520) -> tuple[str, ...]:
    with contextlib.ExitStack() as stack:
        return await table_lock.acquire(stack, KernelSettings(table=table), state, dry_run=False)


async def test_one_that_is_just_ending_is_waited_for(host: Namespace, tmp_path: Path) -> None:
    before = owner.take(2520, "/before")
    assert before is not None
    waiting = asyncio.ensure_future(taken(tmp_path))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    before.close()
    assert await waiting == ()


async def test_who_holds_the_name_and_does_not_answer_is_no_zmban(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_lock, "_PATIENCE_SECONDS", 0.3)
    with child(lambda: squat(listening=False)):
        (doubt,) = await taken(tmp_path)
        assert doubt.startswith("an unknown process holds the lock")


async def test_of_many_that_start_at_once_one_does_and_the_others_are_told(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_lock, "_PATIENCE_SECONDS", 0.3)
    with contextlib.ExitStack() as stack:
        kernel = KernelSettings(table="main")
        starts = (table_lock.acquire(stack, kernel, tmp_path, dry_run=False) for _ in range(6))
        found = await asyncio.gather(*starts, return_exceptions=True)
        assert [one for one in found if not isinstance(one, ConfigError)] == [()]
        (words,) = {str(one) for one in found if isinstance(one, ConfigError)}
        assert words.startswith(
            f"another zmban in this network writes table main: process {os.getpid()} with"
        )
