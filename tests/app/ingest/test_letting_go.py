"""Each line counts once, whatever happens to the names of logs: dropped, followed again, renamed."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from sidecar.app.ingest import followed_log, log_manager
from sidecar.sources.files import follower
from tests.app.running import InProcess, in_process
from tests.netns import Namespace

pytestmark = pytest.mark.kernel
STORIES = int(os.environ.get("ZMBAN_STORIES", "2"))


class World:
    """The logs of a service in this process, with minutes shortened to tenths of a second."""

    def __init__(self, service: InProcess, place: Path) -> None:
        self.service, self.place = service, place
        self.written = 0

    def write(self, path: Path) -> None:
        """One more failed login, of a new client."""
        self.written += 1
        who = f"198.51.{self.written // 250}.{self.written % 250 + 1}"
        now = datetime.now().astimezone().strftime("%b %e %H:%M:%S")
        with path.open("a", encoding="utf-8") as log:
            log.write(
                f"{now} mail postfix/smtpd[1]: warning: x[{who}]: SASL LOGIN authentication failed: x\n"
            )

    @property
    def judged(self) -> int:
        return int(self.service.metrics.failures.labels("smtp")._value.get())

    @property
    def followed(self) -> set[str]:
        return {Path(path).name for path in self.service.logs.logs}

    async def all_judged(self) -> None:
        """Wait until every written line has counted exactly once."""
        await until(lambda: self.judged >= self.written)
        await asyncio.sleep(0.2)
        assert self.judged == self.written


async def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def lasting() -> list[str]:
    """The names of the running tasks, without a lookup of logs that may be running."""
    tasks = (task for task in asyncio.all_tasks() if "Discovery." not in repr(task.get_coro()))
    return sorted(task.get_name() for task in tasks)


@pytest.fixture
async def world(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[World]:
    """Set the jail's `logpath` to the parameter of the test, below the directory of logs."""
    monkeypatch.setattr(log_manager, "_LOOK_SECONDS", 0.03)
    monkeypatch.setattr(log_manager, "_RETRY_SECONDS", (0.02, 0.1))
    monkeypatch.setattr(followed_log, "_GONE_SECONDS", 0.3)
    monkeypatch.setattr(followed_log, "LATE_SECONDS", 0.6)
    monkeypatch.setattr(follower, "LATE_SECONDS", 0.6)
    monkeypatch.setattr(follower, "_GONE_SECONDS", 0.1)
    async with in_process(tmp_path, logpath=request.param) as service:
        service.metrics.add_jails(service.engine.jails)
        place = tmp_path / "logs"
        (place / "zimbra.log").unlink()
        task = asyncio.create_task(service.logs.run())
        try:
            yield World(service, place)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("world", ["x*", "x*.log", "x.log"], indirect=True)
async def test_a_log_that_is_rotated_without_a_new_one_is_read_on_for_as_long_as_it_is_written_to(
    world: World,
) -> None:
    log, renamed = world.place / "x.log", world.place / "x.log.1"
    world.write(log)
    await world.all_judged()
    world.write(log)
    log.rename(renamed)
    world.write(renamed)
    await world.all_judged()
    await until(lambda: "x.log" not in world.followed)
    # The writing program did not notice, and continues after a pause.
    for _ in range(3):
        world.write(renamed)
        await world.all_judged()
        await asyncio.sleep(0.5)
    world.write(renamed)
    world.write(log)
    world.write(renamed)
    await world.all_judged()
    await until(lambda: world.followed == {"x.log"})
    world.write(renamed)
    await world.all_judged()


@pytest.mark.parametrize("world", ["x*.log", "x.log"], indirect=True)
async def test_a_log_that_is_deleted_is_let_go_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "zmban.sources")
    log = world.place / "x.log"
    world.write(log)
    await world.all_judged()
    before = lasting()
    assert str(log) in before
    log.unlink()
    await until(lambda: not world.followed)
    await asyncio.sleep(0.5)
    assert (world.followed, caplog.text.count("x.log: no longer followed")) == (set(), 1)
    assert lasting() == [name for name in before if name != str(log)]


@pytest.mark.parametrize("world", ["*.log"], indirect=True)
async def test_a_log_that_gets_another_name_of_the_same_glob_is_read_on_under_that(world: World) -> None:
    log, other = world.place / "a.log", world.place / "b.log"
    for _ in range(5):
        world.write(log)
    await world.all_judged()
    for old, new in ((log, other), (other, log), (log, other)):
        old.rename(new)
        world.write(new)
        await world.all_judged()
        await until(partial(lambda name: world.followed == {name}, new.name))
        assert world.service.logs.sources() == {str(new): None}


@pytest.mark.parametrize("world", ["*.log"], indirect=True)
async def test_a_link_that_leads_to_another_log_of_the_glob_takes_no_line_twice(world: World) -> None:
    link = world.place / "a.log"
    days = [world.place / f"day{number}.log" for number in range(3)]
    for day in days:
        # A look at the names between a new file and its link follows both for a moment: a known race.
        link.unlink(missing_ok=True)
        link.symlink_to(day)
        world.write(day)
        await world.all_judged()
        world.write(day)
        await world.all_judged()
    await until(lambda: world.followed == {"a.log", "day0.log", "day1.log"})
    for day in days:
        world.write(day)
    await world.all_judged()


@pytest.mark.parametrize("world", ["x*"], indirect=True)
async def test_jails_that_come_to_a_log_with_another_name_of_it_read_it_too(world: World) -> None:
    log = world.place / "x.log"
    world.write(log)
    await world.all_judged()
    service = world.service
    one = service.logs.logs[str(log)]
    before = one.scanner.jails
    jails = service.parts.active._jails
    jails["second"] = replace(jails["smtp"], name="second")
    await until(lambda: service.logs.logs.get(str(log)) not in (None, one))
    assert service.logs.logs[str(log)].scanner.jails == (*before, "second")


@pytest.mark.parametrize("world", ["x*", "x*.log", "x.log"], indirect=True)
@pytest.mark.parametrize("seed", range(STORIES))
async def test_in_whatever_order_names_come_and_go_each_line_counts_once(world: World, seed: int) -> None:
    chance = random.Random(seed)
    log, first, second = (world.place / name for name in ("x.log", "x.log.1", "x.log.2"))
    world.write(log)
    await world.all_judged()
    for _ in range(25):
        step = chance.randrange(6)
        if step <= 1:
            world.write(log)
        elif step == 2:
            chance.choice([path for path in (first, log) if path.exists()] or [log]).open("a").close()
            if first.exists():
                world.write(first)
        elif step == 3 and log.exists():
            await world.all_judged()
            if first.exists():
                first.replace(second)
            log.rename(first)
        elif step == 4:
            await asyncio.sleep(chance.choice((0.05, 0.4, 1.0)))
        elif step == 5:
            await world.all_judged()
            chance.choice((log, first, second)).unlink(missing_ok=True)
    await world.all_judged()
