"""Drift repair with announcements that a test makes: what is restored at once, and what is looked at."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from sidecar.app.enforce import drift as module
from sidecar.app.enforce.drift import DriftRepair
from sidecar.kernel.backend import Changes, Entry, Heard
from sidecar.model import KernelError
from sidecar.network import Network
from tests.app.enforce.test_enforcer import OTHER, WHO, Memory, World, ban


class Announced:
    """Changes that a test announces; a socket becomes readable with them."""

    def __init__(self) -> None:
        self._here, self._there = socket.socketpair()
        self._here.setblocking(False)
        self._heard: list[Heard] = []
        self.closed = False

    def announce(self, heard: Heard) -> None:
        self._heard.append(heard)
        self._there.send(b"x")

    def filenos(self) -> Sequence[int]:
        return [self._here.fileno()]

    def read(self) -> Heard:
        with contextlib.suppress(BlockingIOError):
            self._here.recv(1000)
        return self._heard.pop(0) if self._heard else Heard()

    def close(self) -> None:
        self.closed = True
        self._here.close()
        self._there.close()


class Host(Memory):
    """Counts what is asked of it."""

    def __init__(self, changes: Announced | KernelError | None) -> None:
        super().__init__()
        self._changes = changes
        self.attached = self.ingress = 0

    def changes(self) -> Changes | None:
        if isinstance(self._changes, KernelError):
            raise self._changes
        return self._changes

    def attach(self) -> tuple[int, ...]:
        self.attached += 1
        return super().attach()

    def ensure_ingress(self) -> int:
        self.ingress += 1
        return 0


class Watched:
    """A drift repair that runs."""

    def __init__(self, state: Path) -> None:
        self.changes = Announced()
        self.host = Host(self.changes)
        self.world = World(state, self.host)
        self.looks = 0
        self.drift = DriftRepair(self.world.enforcer, self.world.background, self.look)

    async def look(self) -> None:
        self.looks += 1

    def counted(self) -> float:
        return float(self.world.metrics.drift.labels("route")._value.get())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.05)
    one = Watched(tmp_path)
    one.world.ban(ban(), ban(OTHER))
    await one.world.enforcer.reconcile()
    task = asyncio.create_task(one.drift.run())
    await until(lambda: one.host.ingress)
    yield one
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert one.changes.closed


async def test_an_entry_that_is_removed_is_restored_and_counted(watched: Watched) -> None:
    watched.host.erase(Entry.BAN, [WHO])
    watched.changes.announce(Heard({WHO: None}))
    await until(watched.counted)
    assert watched.host.banned() == {WHO, OTHER}
    assert watched.counted() == 1


async def test_an_entry_that_nobody_wants_is_removed(watched: Watched) -> None:
    stranger = Network.parse("203.0.113.99")
    watched.host.write(Entry.BAN, [stranger])
    watched.changes.announce(Heard({stranger: Entry.BAN}))
    await until(watched.counted)
    assert watched.host.banned() == {WHO, OTHER}
    assert watched.counted() == 1


async def test_where_announcements_were_lost_everything_is_compared(watched: Watched) -> None:
    watched.host.erase(Entry.BAN, [WHO, OTHER])
    watched.changes.announce(Heard(lost=True))
    await until(watched.counted)
    assert watched.host.banned() == {WHO, OTHER}
    assert watched.counted() == 2


async def test_more_than_is_restored_one_by_one_is_compared_whole(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SINGLE", 1)
    watched.host.erase(Entry.BAN, [WHO, OTHER])
    watched.host.single.clear()
    watched.changes.announce(Heard({WHO: None, OTHER: None}))
    await until(lambda: watched.host.banned() == {WHO, OTHER})
    assert watched.host.single == []


async def test_what_makes_packets_consult_the_list_is_restored(watched: Watched) -> None:
    before = watched.host.attached
    watched.changes.announce(Heard(attachment=True))
    await until(lambda: watched.host.attached == before + 1)


async def test_a_swarm_of_interfaces_is_looked_at_once_and_the_ingress_at_once(watched: Watched) -> None:
    before = watched.host.ingress
    for _ in range(3):
        watched.changes.announce(Heard(around=True))
        await until(lambda: not watched.changes._heard)
    await until(lambda: watched.host.ingress > before)
    assert watched.looks == 0
    await until(lambda: watched.looks)
    await watched.world.background.settled()
    assert watched.looks == 1


async def test_nothing_is_restored_while_suspended(watched: Watched) -> None:
    watched.world.enforcer.suspend()
    watched.changes.announce(Heard({WHO: None}, attachment=True, lost=True))
    await until(lambda: not watched.changes._heard)
    await asyncio.sleep(0.05)
    assert watched.host.present() == {}


async def test_the_check_of_each_minute_looks_at_everything(watched: Watched) -> None:
    watched.host.erase(Entry.BAN, [WHO])
    attached, ingress = watched.host.attached, watched.host.ingress
    await watched.drift.check()
    assert watched.looks == 1
    assert watched.host.attached > attached
    assert watched.host.ingress == ingress + 1
    assert watched.host.banned() == {WHO, OTHER}
    assert watched.counted() == 1


@pytest.mark.parametrize("changes", [None, KernelError("no announcements")])
async def test_where_nothing_is_announced_the_check_of_each_minute_has_to_do(
    tmp_path: Path, changes: KernelError | None, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path, Host(changes))

    async def look() -> None:
        pass

    async with asyncio.timeout(5):
        await DriftRepair(world.enforcer, world.background, look).run()
    assert ("restored within a minute" in caplog.text) == (changes is not None)
