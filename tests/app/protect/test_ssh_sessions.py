"""The address of an administrator's SSH session is not banned by logs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sidecar.app import daemon
from sidecar.app.bootstrap import build
from sidecar.app.protect import ssh_sessions as asking
from sidecar.app.protect.ssh_sessions import SshSessions
from sidecar.app.runtime_options import RuntimeOptions
from sidecar.bans.guard import Guard
from sidecar.bans.register import BanRegister
from sidecar.configuration import loading
from sidecar.decide.engine import DecisionEngine
from sidecar.model import Ban, Failure, FailuresCleared, KernelError, Match, Refused
from sidecar.network import Network
from tests.app.running import Running, in_process
from tests.netns import Namespace

ADMIN = Network.parse("198.51.100.7")


def watched() -> SshSessions:
    return SshSessions(lambda: [22], DecisionEngine([], Guard({}), BanRegister()))


async def test_a_session_counts_when_it_has_stood_for_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    standing = {b"one": ADMIN}
    monkeypatch.setattr(asking, "peers", lambda _: dict(standing))
    sessions = watched()
    assert await sessions.standing(1000.0) == set()
    assert await sessions.standing(1299.0) == set()
    assert await sessions.standing(1300.0) == {ADMIN}
    # A new session starts at zero, even from the same address.
    standing.clear()
    standing[b"two"] = ADMIN
    assert await sessions.standing(1301.0) == set()


async def test_where_the_kernel_does_not_tell_nobody_is_at_work_and_it_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(_: object) -> None:
        raise KernelError("the kernel does not tell of connections: denied")

    monkeypatch.setattr(asking, "peers", refused)
    sessions = watched()
    assert [await sessions.standing(at) for at in (1.0, 31.0)] == [set(), set()]
    assert caplog.text.count("SSH sessions of administrators are unknown") == 1


@pytest.mark.kernel
@pytest.mark.parametrize("address", ["198.51.100.7", "2001:db8:1::7"])
async def test_a_ban_by_a_log_that_would_hit_one_is_refused_and_others_are_banned(
    host: Namespace, tmp_path: Path, address: str
) -> None:
    async with in_process(tmp_path) as one:
        one.engine.spare_admins([Network.parse(address)])
        lines = [Match("smtp", address, 1000.0 + n, f"line {n}") for n in range(2)]
        (first,), (second, refused, spent) = (one.engine.decide(line, line.at or 0, 1002.0) for line in lines)
        assert isinstance(first, Failure) and isinstance(second, Failure)
        assert refused == Refused(
            Network.parse(address).unit().address, "smtp", 1001.0, "admin-session", line="line 1"
        )
        assert spent == FailuresCleared("smtp", first.network)
        other = [Match("smtp", "203.0.113.9", 1000.0 + n, "x") for n in range(2)]
        events = [event for line in other for event in one.engine.decide(line, line.at or 0, 1002.0)]
        assert [type(event) for event in events] == [Failure, Failure, Ban]


@pytest.mark.kernel
async def test_the_service_looks_for_them_while_it_runs(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "peers", lambda ports: {b"one": ADMIN} if ports == (22,) else {})
    monkeypatch.setattr(asking, "_LONG", 0.0)
    loaded = loading.load([str(Running(tmp_path).root / "config")])
    parts = build(loaded, RuntimeOptions(tmp_path / "state", dry_run=True))
    await daemon.startup(parts)
    running = asyncio.create_task(daemon.run(parts))
    admins = parts.memory.engine._policies
    try:
        for _ in range(200):
            if admins.admins:
                break
            await asyncio.sleep(0.02)
        assert admins.admins == {ADMIN}
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
