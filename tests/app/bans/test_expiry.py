"""What is over ends when it should, whatever the clock says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.app.bans.clock_monitor import ClockStepMonitor
from sidecar.app.bans.expiry import ExpiryTask
from sidecar.app.service import Service
from sidecar.model import Ban
from sidecar.network import Network
from sidecar.store.database import Allowed
from tests.app.running import in_process

WHO, FRIEND = Network.parse("203.0.113.7"), Network.parse("203.0.113.50")


class Clocks:
    """A wall's clock that can be set, and one that cannot."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_000_000.0, 50.0
        self.jumps = ClockStepMonitor(lambda: self.wall, lambda: self.steady)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def test_a_clock_that_is_set_is_noticed_once_and_small_corrections_are_none() -> None:
    clocks = Clocks()
    clocks.passes(1)
    assert clocks.jumps.seen() == 0
    clocks.wall += 1.5
    assert clocks.jumps.seen() == 0
    clocks.wall += 3600
    clocks.passes(1)
    assert clocks.jumps.seen() == pytest.approx(3600)
    assert clocks.jumps.seen() == 0
    clocks.wall -= 86400
    assert clocks.jumps.seen() == pytest.approx(-86400)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with in_process(tmp_path, dry_run=True) as one:
        yield one


async def test_no_window_of_a_jail_keeps_those_who_stopped(service: Service) -> None:
    court = service.judge.courts["smtp"]
    for window in (court.window, court.unsure, court.patient):
        window.add(WHO, 1000.0, "")
    await ExpiryTask(service)._prune(1000.0 + court.spec.findtime)
    assert [len(window) for window in (court.window, court.unsure, court.patient)] == [0, 0, 0]


@pytest.mark.parametrize("jump", [86400.0, -86400.0], ids=["forward", "back"])
async def test_a_clock_that_is_set_lifts_nothing_early_and_nothing_late(
    service: Service, jump: float
) -> None:
    ends = ExpiryTask(service)
    service.publish([e for e in [service.table.ban(Ban(WHO, "smtp", 1000.0, 1600.0, "log"))] if e])
    service.allowed[FRIEND] = Allowed(FRIEND, 1000.0, 1600.0, "x")
    await ends.end(1100.0 + jump, jump)
    await ends.end(1599.0 + jump)
    assert service.table.of(WHO, "smtp") is not None
    assert FRIEND in service.allowed
    # Who is banned by the new clock ends by the new clock.
    later = Network.parse("203.0.113.8")
    service.publish([e for e in [service.table.ban(Ban(later, "smtp", 1599.0, 1600.5 + jump, "log"))] if e])
    await ends.end(1600.0 + jump)
    assert service.table.of(WHO, "smtp") is None
    assert service.table.of(later, "smtp") is not None
    assert FRIEND not in service.allowed
    await ends.end(1601.0 + jump)
    assert service.table.of(later, "smtp") is None
