"""The enforcer with a backend in memory: what is written at once, after the commit, and by reconcile."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from sidecar.app.background import BackgroundTasks
from sidecar.app.enforce import enforcer as module
from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.enforce.proof import CANARY
from sidecar.bans.register import BanRegister
from sidecar.kernel.backend import Difference, Entries, Entry
from sidecar.kernel.dry_run import DryRunBackend
from sidecar.model import ADOPTED, Ban, Batch, Event, Extended, KernelError, Unban
from sidecar.network import Network
from sidecar.serve.metrics import Metrics
from sidecar.store.suspension import SuspensionMarker

WHO, OTHER = Network.parse("203.0.113.7"), Network.parse("203.0.113.8")


class Memory(DryRunBackend):
    """Enforces, and remembers which entries were added one by one, and how many by each write; `refusing`
    makes every write fail, those of the `foreign` networks fail always."""

    enforces = True

    def __init__(self) -> None:
        super().__init__()
        self.single: list[Network] = []
        self.writes: list[int] = []
        self.refusing = False
        self.foreign: set[Network] = set()

    def write(self, entry: Entry, networks: Sequence[Network]) -> Mapping[Network, int]:
        if self.refusing:
            raise KernelError("no buffer space")
        self.single += networks if len(networks) == 1 else ()
        self.writes.append(len(networks))
        free = [network for network in networks if network not in self.foreign]
        return {
            **dict.fromkeys(self.foreign.intersection(networks), errno.EEXIST),
            **super().write(entry, free),
        }

    def add(self, network: Network, entry: Entry = Entry.BAN) -> None:
        if network in self.foreign:
            raise KernelError("another program's route is there")
        super().add(network, entry)

    def remove(self, network: Network) -> None:
        if self.refusing:
            raise KernelError("no buffer space")
        super().remove(network)

    def lets_through(self, network: Network) -> str | None:
        return None if self.refuses(network) else ""

    def refuses(self, network: Network) -> bool:
        return self.present().get(network) is Entry.BAN

    def banned(self) -> set[Network]:
        return {n for n, entry in self.present().items() if entry is Entry.BAN} - {CANARY}


class World:
    """An enforcer, its register, and the hooks that wait for a commit."""

    def __init__(self, state: Path, backend: Memory | None = None) -> None:
        self.backend = backend or Memory()
        self.register, self.metrics, self.background = BanRegister(), Metrics(), BackgroundTasks()
        self.hooks: list[Callable[[], None]] = []
        self.enforcer = Enforcer(
            self.backend, self.register.table, state, self.hooks.append, self.background, self.metrics
        )

    def hear(self, *events: Event) -> None:
        self.enforcer.handle(Batch(events))

    def ban(self, *bans: Ban) -> None:
        self.hear(*(event for ban in bans for event in self.register.ban(ban, 50.0)))

    def commit(self) -> None:
        while self.hooks:
            self.hooks.pop(0)()

    def errors(self) -> float:
        return self.metrics.registry.get_sample_value("zmban_kernel_errors_total") or 0.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def ban(network: Network = WHO, jail: str = "smtp", until: float | None = None) -> Ban:
    return Ban(network, jail, 1.0, until, "log")


def adopted(network: Network = WHO) -> Ban:
    return Ban(network, "import", 1.0, None, "import", f"{ADOPTED}x", times=0)


def many(number: int) -> list[Network]:
    return [Network.of(4, (45 << 24 | n).to_bytes(4, "big"), 32) for n in range(number)]


def test_a_ban_is_written_at_once(world: World) -> None:
    world.ban(ban())
    assert world.backend.banned() == {WHO}
    assert not world.hooks


def test_a_dry_ban_and_an_extension_are_not_written(world: World) -> None:
    world.ban(ban()._replace(dry=True))
    world.hear(Extended(ban(OTHER)))
    assert world.backend.banned() == set()


def test_a_network_that_another_ban_refuses_already_is_not_written_again(world: World) -> None:
    world.ban(ban())
    world.ban(ban(jail="web"))
    assert world.backend.single == [WHO]


def test_two_bans_of_one_network_in_one_batch_are_written_once(world: World) -> None:
    world.ban(ban(), ban(jail="web"))
    assert world.backend.single == [WHO]


def test_an_unban_is_written_behind_the_commit_only(world: World) -> None:
    world.ban(ban(until=9.0))
    world.hear(*world.register.expire(10.0))
    assert world.backend.banned() == {WHO}
    world.commit()
    assert world.backend.banned() == set()


async def test_no_reconcile_removes_a_route_before_its_unban_is_committed(world: World) -> None:
    world.ban(ban(until=9.0))
    await world.enforcer.reconcile()
    world.hear(*world.register.expire(10.0))
    await world.enforcer.reconcile()
    assert world.backend.banned() == {WHO}
    world.commit()
    await world.enforcer.reconcile()
    assert world.backend.banned() == set()


async def test_an_unban_that_is_committed_behind_an_exemption_lets_the_network_in_at_once(
    world: World,
) -> None:
    world.ban(ban())
    world.hear(*world.register.lift(WHO, 60.0, "manual"))
    world.enforcer.exempt({WHO})
    await world.enforcer.reconcile()
    world.commit()
    await world.background.settled()
    assert world.backend.banned() == set()


def test_a_network_that_is_banned_again_before_the_commit_stays_refused(world: World) -> None:
    world.ban(ban(until=9.0))
    world.hear(*world.register.expire(10.0))
    world.ban(ban())
    world.commit()
    assert world.backend.banned() == {WHO}


def test_a_network_that_another_jail_bans_stays_refused_when_one_ban_ends(world: World) -> None:
    world.ban(ban(until=9.0), ban(jail="web"))
    world.hear(*world.register.expire(10.0))
    assert not world.hooks
    assert world.backend.banned() == {WHO}


def test_an_adopted_ban_and_the_one_that_replaces_it_are_not_written(world: World) -> None:
    """An adopted ban has an entry already."""
    world.ban(adopted())
    world.hear(*(events := world.register.ban(ban(), 50.0)))
    assert [type(event) for event in events] == [Ban, Unban]
    assert world.backend.single == []
    assert not world.hooks


async def test_more_bans_than_are_written_one_by_one_are_written_by_a_reconcile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SINGLE", 10)
    networks = many(11)
    world.ban(*map(ban, networks))
    assert world.backend.banned() == set()
    await world.background.settled()
    assert world.backend.banned() == set(networks)
    world.ban(*map(ban, many(21)[11:]))
    assert world.backend.banned() == set(many(21))


async def test_more_unbans_than_are_written_one_by_one_are_written_by_a_reconcile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SINGLE", 10)
    world.ban(*(ban(network, until=9.0) for network in many(11)))
    await world.background.settled()
    world.hear(*world.register.expire(10.0))
    world.commit()
    assert len(world.backend.banned()) == 11
    await world.background.settled()
    assert world.backend.banned() == set()


def test_an_exempted_network_is_banned_in_the_table_and_not_in_the_kernel(world: World) -> None:
    world.enforcer.exempt({WHO})
    world.ban(ban(), ban(OTHER))
    assert world.backend.banned() == {OTHER}


async def test_nothing_is_written_while_suspended_and_everything_behind_a_resume(world: World) -> None:
    world.ban(ban())
    world.enforcer.suspend()
    assert world.backend.present() == {}
    world.ban(ban(OTHER))
    assert await world.enforcer.reconcile() == 0
    assert world.backend.present() == {}
    world.enforcer.resume()
    await world.enforcer.reconcile()
    assert world.backend.banned() == {WHO, OTHER}


async def test_a_suspension_by_another_process_is_heeded_at_the_next_reconcile(
    world: World, tmp_path: Path
) -> None:
    world.ban(ban())
    await world.enforcer.reconcile()
    SuspensionMarker(tmp_path).suspend()
    await world.enforcer.reconcile()
    assert world.enforcer.suspended
    assert world.backend.present() == {}
    assert World(tmp_path).enforcer.suspended


def test_the_bans_of_a_batch_are_written_at_once_and_each_that_is_refused_is_counted(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    some = many(50)
    world.backend.foreign = {some[7], some[9]}
    world.ban(*(ban(network) for network in some))
    assert world.backend.writes == [50]
    assert world.backend.banned() == {*some} - world.backend.foreign
    assert (world.errors(), world.enforcer.due) == (2, 2)
    assert f"ban {some[7]}: another program's route is there" in caplog.text


async def test_a_write_that_fails_is_counted_and_repaired_by_the_next_reconcile(world: World) -> None:
    world.backend.refusing = True
    world.ban(ban())
    assert (world.errors(), world.backend.banned()) == (1, set())
    assert await world.enforcer.reconcile() == 0
    assert world.errors() == 2
    world.backend.refusing = False
    await world.enforcer.reconcile()
    assert (world.errors(), world.backend.banned()) == (2, {WHO})
    assert world.metrics.drift.labels("route")._value.get() == 0


async def test_a_removal_that_fails_is_repaired_by_the_next_reconcile(world: World) -> None:
    world.ban(ban(until=9.0))
    await world.enforcer.reconcile()
    world.hear(*world.register.expire(10.0))
    world.backend.refusing = True
    world.commit()
    assert world.backend.banned() == {WHO}
    world.backend.refusing = False
    await world.enforcer.reconcile()
    assert world.backend.banned() == set()
    assert world.metrics.drift.labels("route")._value.get() == 0


def test_the_latency_of_each_ban_that_a_line_led_to_is_measured(world: World) -> None:
    def measured() -> float | None:
        return world.metrics.registry.get_sample_value("zmban_ban_latency_seconds_count")

    world.ban(ban())
    assert measured() == 0
    (event,) = world.register.ban(ban(OTHER), 50.0)
    world.enforcer.handle(Batch((event,), read_at=time.time() - 1.0))
    assert measured() == 1
    total = world.metrics.registry.get_sample_value("zmban_ban_latency_seconds_sum")
    assert total is not None and 1.0 <= total < 5.0


async def test_an_entry_that_another_program_removes_is_restored_and_counted(world: World) -> None:
    world.ban(ban())
    await world.enforcer.reconcile()
    world.backend.erase(Entry.BAN, [WHO])
    world.enforcer.mend({WHO: None})
    assert world.backend.banned() == {WHO}
    assert world.metrics.drift.labels("route")._value.get() == 1


async def test_a_stop_in_the_middle_of_a_reconcile_undoes_no_ban(tmp_path: Path) -> None:
    """The reconcile uses an older state, and its thread cannot be stopped."""
    begun, go = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    class Slow(Memory):
        def differs(self, wanted: Entries) -> Difference:
            loop.call_soon_threadsafe(begun.set)
            asyncio.run_coroutine_threadsafe(go.wait(), loop).result(10)
            return super().differs(wanted)

    world = World(tmp_path, Slow())
    running = asyncio.create_task(world.enforcer.reconcile())
    await begun.wait()
    world.ban(ban())
    assert world.backend.banned() == {WHO}
    running.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert world.backend.banned() == {WHO}
