"""The verifier with a backend in memory: what it asks, and what status and metrics say afterwards."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from sidecar.app.enforce import verifier as module
from sidecar.app.enforce.enforcement_status import DRY_RUN, SUSPENDED
from sidecar.app.enforce.proof import CANARY
from sidecar.app.enforce.verifier import Verifier
from sidecar.kernel.backend import Difference, Entries, Entry
from sidecar.kernel.dry_run import DryRunBackend
from sidecar.model import KernelError
from tests.app.enforce.test_enforcer import OTHER, WHO, Memory, World, ban


def metric(world: World, name: str, **labels: str) -> float | None:
    return world.metrics.registry.get_sample_value(f"zmban_{name}", labels)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_nothing_is_believed_before_it_was_verified(world: World) -> None:
    assert Verifier(world.enforcer, world.metrics).status.missing == ("not verified yet",)


async def test_where_everything_is_in_place_bans_are_enforced_and_counted(world: World) -> None:
    verifier = Verifier(world.enforcer, world.metrics)
    world.ban(ban(), ban(OTHER))
    await world.enforcer.reconcile()
    assert (await verifier.verify()).enforced
    assert verifier.status.missing == ()
    assert metric(world, "enforced") == 1
    assert metric(world, "table_routes", family="ipv4") == 2
    assert metric(world, "table_addresses", family="ipv4") == 2


async def test_what_is_missing_is_written_by_the_check_itself(world: World) -> None:
    verifier = Verifier(world.enforcer, world.metrics)
    world.ban(ban())
    await world.enforcer.reconcile()
    world.backend.erase(Entry.BAN, [WHO, CANARY])
    assert (await verifier.verify()).enforced
    assert world.backend.banned() == {WHO}
    assert world.metrics.drift.labels("route")._value.get() == 2


async def test_others_add_reasons_and_doubts(world: World) -> None:
    reasons, doubts = ["clients come through"], ["a log is not read"]
    verifier = Verifier(world.enforcer, world.metrics, missing=[lambda: reasons], doubts=[lambda: doubts])
    await verifier.verify()
    assert (verifier.status.missing, verifier.status.doubts[-1:]) == (tuple(reasons), tuple(doubts))
    assert metric(world, "enforced") == 0
    reasons.clear()
    assert (await verifier.verify()).enforced


async def test_a_kernel_that_cannot_be_read_is_the_reason_until_it_can(tmp_path: Path) -> None:
    class Unreadable(Memory):
        broken = True

        def differs(self, wanted: Entries) -> Difference:
            if self.broken:
                raise KernelError("no buffer space")
            return super().differs(wanted)

    backend = Unreadable()
    world = World(tmp_path, backend)
    verifier = Verifier(world.enforcer, world.metrics)
    assert (await verifier.verify()).missing == ("no buffer space",)
    assert metric(world, "enforced") == 0
    backend.broken = False
    assert (await verifier.verify()).enforced


async def test_a_flush_and_a_dry_run_are_reasons(world: World, tmp_path: Path) -> None:
    world.enforcer.suspend()
    assert Verifier(world.enforcer, world.metrics).status.missing == (SUSPENDED,)
    assert (await Verifier(world.enforcer, world.metrics).verify()).missing == (SUSPENDED,)

    class Dry(Memory):
        enforces = DryRunBackend.enforces

    dry = World(tmp_path / "dry", Dry())
    assert (await Verifier(dry.enforcer, dry.metrics).verify()).missing == (DRY_RUN,)


@pytest.mark.parametrize(("took", "pause"), [(0.01, 5.0), (1.0, 20.0)])
async def test_a_check_that_takes_long_is_made_less_often(
    world: World, monkeypatch: pytest.MonkeyPatch, took: float, pause: float
) -> None:
    moments = iter((100.0, 100.0 + took))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(moments), time=time.time))
    assert await Verifier(world.enforcer, world.metrics).look() == pytest.approx(pause)
