"""Bans and allowed networks end at the right time, even if the clock is set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from sidecar.app.bans import expiry
from sidecar.app.bans.clock_monitor import ClockStepMonitor
from sidecar.model import Ban
from sidecar.network import Network
from sidecar.store.database import Allowed
from tests.app.running import InProcess, in_process

WHO, FRIEND = Network.parse("203.0.113.7"), Network.parse("203.0.113.50")


class Clocks:
    """A system clock that can be set, and a monotonic one."""

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
async def service(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with in_process(tmp_path, dry_run=True) as one:
        yield one


async def test_no_window_of_a_jail_keeps_those_who_stopped(
    service: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    jail = service.engine.jails["smtp"]
    windows = (jail.window, jail.unconfirmed_window, jail.known_good_window)
    for window in windows:
        window.add(WHO, 1000.0, "")
    end = 1000.0 + jail.spec.findtime
    for now, left in ((end - 1.0, 1), (end, 0)):
        monkeypatch.setattr(expiry, "time", SimpleNamespace(time=lambda now=now: now))
        await service.parts.expiry.prune()
        assert [len(window) for window in windows] == [left] * 3


def allowed(service: InProcess) -> set[Network]:
    return {one.network for one in service.parts.allow_list}


@pytest.mark.parametrize("jump", [86400.0, -86400.0], ids=["forward", "back"])
async def test_a_clock_that_is_set_lifts_nothing_early_and_nothing_late(
    service: InProcess, jump: float
) -> None:
    ends = service.parts.expiry
    service.ban(Ban(WHO, "smtp", 1000.0, 1600.0, "log"))
    service.parts.allow_list.allow(Allowed(FRIEND, 1000.0, 1600.0, "x"))
    await ends.end(1100.0 + jump, jump)
    await ends.end(1599.0 + jump)
    assert service.table.of(WHO, "smtp") is not None
    assert FRIEND in allowed(service)
    # A ban made after the step ends by the new clock.
    later = Network.parse("203.0.113.8")
    service.ban(Ban(later, "smtp", 1599.0, 1600.5 + jump, "log"))
    await ends.end(1600.0 + jump)
    assert service.table.of(WHO, "smtp") is None
    assert service.table.of(later, "smtp") is not None
    assert FRIEND not in allowed(service)
    await ends.end(1601.0 + jump)
    assert service.table.of(later, "smtp") is None
