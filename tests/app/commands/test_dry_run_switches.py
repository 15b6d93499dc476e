"""Dry run of a jail is switched while the service runs; the switch survives a restart and a reload."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from sidecar.app.protect.protection import Protection
from sidecar.model import Ban, Match, ZmbanError
from sidecar.network import Network
from sidecar.store.changes import Memo
from tests.app.running import InProcess, in_process, service, until
from tests.cli.running import zmban
from tests.netns import Namespace

EVIL, OTHER, THIRD = "203.0.113.7", "203.0.113.8", "203.0.113.9"
TRIAL = "zmban.dry_run = true\n"


def fail(one: InProcess, host: str, times: int = 1) -> list[Ban]:
    """Failed logins of a host, and the bans that follow."""
    now = time.time()
    match = Match("smtp", host, now, f"{host} failed")
    events = [event for _ in range(times) for event in one.engine.decide(match, now, now)]
    one.bus.publish(events)
    return [event for event in events if isinstance(event, Ban)]


async def switch(one: InProcess, dry_run: bool | None, jail: str = "smtp") -> dict[str, Any]:
    answer: dict[str, Any] = await one.tell("dry-run", jail=jail, dry_run=dry_run, by="alice")
    return answer


async def jail(one: InProcess) -> tuple[bool, bool | None]:
    (found,) = (await one.tell("status"))["jails"]
    return found["dry_run"], found["switched"]


async def test_a_switch_counts_from_the_next_line_on_and_keeps_the_failures(
    host: Namespace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with in_process(tmp_path) as one:
        fail(one, EVIL, times=2)
        fail(one, OTHER)
        assert await switch(one, True) == {"jail": "smtp", "dry_run": True, "switched": True}
        assert "[smtp] dry run switched on (by alice)" in caplog.text
        assert [ban.dry for ban in fail(one, OTHER)] == [True]
        # Who is enforced stays enforced.
        assert one.present().keys() >= {Network.parse(EVIL)}
        assert Network.parse(OTHER) not in one.present()
        assert await jail(one) == (True, True)
        assert await switch(one, False) == {"jail": "smtp", "dry_run": False, "switched": False}
        # What was decided dry stays dry until the client fails again.
        assert not one.table.stands(Network.parse(OTHER))
        assert [ban.dry for ban in fail(one, OTHER, times=2)] == [False]
        assert await switch(one, None) == {"jail": "smtp", "dry_run": False, "switched": None}
        assert await jail(one) == (False, None)


async def test_a_jail_that_is_configured_as_dry_run_enforces_when_it_is_switched_off(
    host: Namespace, tmp_path: Path
) -> None:
    async with in_process(tmp_path, TRIAL) as one:
        assert await switch(one, False) == {"jail": "smtp", "dry_run": False, "switched": False}
        assert [ban.dry for ban in fail(one, EVIL, times=2)] == [False]
        assert Network.parse(EVIL) in one.present()
        assert (await switch(one, None))["dry_run"]


async def test_no_jail_is_switched_off_in_a_dry_run_of_the_service(tmp_path: Path) -> None:
    async with in_process(tmp_path, dry_run=True) as one:
        with pytest.raises(ZmbanError, match="the whole service is a dry run"):
            await switch(one, False)
        assert await switch(one, True) == {"jail": "smtp", "dry_run": True, "switched": True}
        assert await switch(one, None) == {"jail": "smtp", "dry_run": True, "switched": None}


@pytest.mark.parametrize(
    "fault", ["zmban.dry_rum = false\n", "zmban.dry_run = perhaps\n", "action = nosuch[\n"]
)
async def test_no_jail_is_switched_off_that_is_a_dry_run_because_of_a_fault(
    host: Namespace, tmp_path: Path, fault: str
) -> None:
    async with in_process(tmp_path, fault + (TRIAL if "action" in fault else "")) as one:
        with pytest.raises(
            ZmbanError, match=r"smtp bans nobody until this is mended: .*test.conf:8: "
        ) as refused:
            await switch(one, False)
        assert getattr(refused.value, "exit_code", 0) == 78
        # A switch of before has no effect, and that is told.
        one.parts.memos.restore([Memo("dry_run", "smtp", "off", 1.0)])
        assert await jail(one) == (True, False)
        (told,) = [
            t for t in (await one.tell("status"))["faults"] if "switched off, but the jail bans nobody" in t
        ]
        assert "test.conf:8: " in told


@pytest.mark.parametrize("name", ["nosuch", "", "x" * 300, "a\x1b[0m"])
async def test_a_jail_that_does_not_run_is_not_switched(tmp_path: Path, name: str) -> None:
    async with in_process(tmp_path, dry_run=True) as one:
        for dry_run in (True, False, None):
            with pytest.raises(ValueError):
                await switch(one, dry_run, name)
        assert one.parts.memos.of("dry_run") == {}


async def test_a_switch_of_a_jail_that_is_gone_is_kept_and_told_and_can_be_forgotten(
    host: Namespace, tmp_path: Path
) -> None:
    config = tmp_path / "config/jail.d/test.conf"
    async with in_process(tmp_path) as one:
        await switch(one, True)
        text = config.read_text()
        config.write_text(text.replace("[smtp]", "[other]"), encoding="utf-8")
        (told,) = [w for w in (await one.tell("reload"))["warnings"] if "dry run" in w]
        assert told == (
            "dry run of smtp is switched on, but there is no such jail; zmban dry-run smtp default forgets it"
        )
        assert one.engine.jails["other"].spec.dry_run is False
        config.write_text(text, encoding="utf-8")
        await one.tell("reload")
        assert await jail(one) == (True, True)
        assert [ban.dry for ban in fail(one, EVIL, times=2)] == [True]
        config.write_text(text.replace("[smtp]", "[other]"), encoding="utf-8")
        await one.tell("reload")
        assert await switch(one, None) == {"jail": "smtp", "dry_run": None, "switched": None}
        assert one.parts.memos.of("dry_run") == {}


async def test_a_switch_during_a_reload_is_not_lost(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with in_process(tmp_path) as one:
        prepare = Protection.prepare

        async def meanwhile(self: Protection, *given: Any) -> Any:
            found = await prepare(self, *given)
            await switch(one, True)
            return found

        monkeypatch.setattr(Protection, "prepare", meanwhile)
        await one.tell("reload")
        assert await jail(one) == (True, True)
        assert [ban.dry for ban in fail(one, EVIL, times=2)] == [True]


async def test_ignore_lists_that_are_read_again_leave_the_switch_alone(
    host: Namespace, tmp_path: Path
) -> None:
    listed = tmp_path / "friends"
    listed.write_text(f"{EVIL}\n", encoding="utf-8")
    async with in_process(tmp_path, f"ignoreip = file:{listed}\n") as one:
        await switch(one, True)
        listed.write_text(f"{OTHER}\n", encoding="utf-8")
        await one.protection.look_around()
        assert fail(one, OTHER, times=2) == []
        assert [ban.dry for ban in fail(one, EVIL, times=2)] == [True]
        assert one.parts.active.jails["smtp"].dry_run


async def test_a_switch_that_is_salvaged_later_counts(host: Namespace, tmp_path: Path) -> None:
    async with in_process(tmp_path) as one:
        one.parts.memos.restore([Memo("dry_run", "smtp", "on", 1.0)])
        assert [ban.dry for ban in fail(one, EVIL, times=2)] == [True]


def test_the_switch_survives_a_kill_and_what_was_decided_dry_is_never_enforced(
    host: Namespace, tmp_path: Path
) -> None:
    with service(tmp_path) as zmban_:
        done = zmban("dry-run", "smtp", "on", "--socket", zmban_.socket)
        assert (done.returncode, done.stdout) == (0, "smtp is a dry run, switched\n")
        zmban_.attack(EVIL)
        until(lambda: zmban_.ask("bans"))
        zmban_.stop(signal.SIGKILL)
        zmban_.start()
        assert "smtp (dry run, switched)" in zmban("status", "--socket", zmban_.socket).stdout
        zmban_.attack(OTHER)
        until(lambda: len(zmban_.ask("bans")) == 2)
        assert zmban_.banned() == set()
        assert zmban("dry-run", "smtp", "perhaps", "--socket", zmban_.socket).returncode == 64
        done = zmban("dry-run", "smtp", "default", "--socket", zmban_.socket)
        assert (done.returncode, done.stdout) == (0, "smtp enforces its bans, as configured\n")
        zmban_.attack(THIRD)
        until(zmban_.banned)
        assert zmban_.stop() == 0
        zmban_.start()
        assert zmban_.banned() == {f"{THIRD}/32"}
        done = zmban("dry-run", "nosuch", "on", "--socket", zmban_.socket)
        assert done.returncode == 65
        assert "no jail nosuch is running" in done.stderr
