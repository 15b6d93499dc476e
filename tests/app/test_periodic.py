"""Periodic jobs: their pauses, and the handling of errors."""

from __future__ import annotations

import asyncio
import logging
import time
from types import SimpleNamespace

import pytest

from sidecar.app import periodic as module
from sidecar.app.periodic import Periodic
from sidecar.model import KernelError, SourceError, StoreError
from sidecar.serve.metrics import Metrics


class StoppedError(Exception):
    """Ends a job that otherwise only a cancellation ends."""


class Pauses(list[float]):
    """Replaces asyncio.sleep: records each pause, and ends the job at the last one."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    async def sleep(self, seconds: float) -> None:
        self.append(seconds)
        if len(self) == self._most:
            raise StoppedError


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def value(metrics: Metrics, name: str, job: str = "look") -> float | None:
    return metrics.registry.get_sample_value(f"zmban_job_{name}", {"task": job})


async def repeated(
    periodic: Periodic,
    work: module.Work,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    *,
    at_once: bool = False,
) -> Pauses:
    pauses = Pauses(most)
    with monkeypatch.context() as patched:
        patched.setattr(module, "asyncio", SimpleNamespace(sleep=pauses.sleep))
        with pytest.raises(StoppedError):
            await periodic.repeat(10.0, "look", work, at_once=at_once)
    return pauses


async def nothing() -> None:
    pass


async def test_a_job_waits_its_pause_before_the_first_time_and_less_by_up_to_a_tenth_later(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = await repeated(Periodic(metrics), nothing, monkeypatch, 200)
    assert first == 10.0
    assert all(9.0 <= pause <= 10.0 for pause in others)
    assert max(others) - min(others) > 0.5, "jobs that begin together do not stay together"


async def test_a_job_that_is_due_at_once_waits_for_nothing_the_first_time(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await repeated(Periodic(metrics), nothing, monkeypatch, 2, at_once=True)
    assert first == 0.0
    assert 9.0 <= second <= 10.0


async def test_the_pause_that_a_job_returns_is_kept_to_the_letter(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter((0.25, None, 77.0, 0.0))

    async def work() -> float | None:
        return next(answers)

    _, one, two, three, four = await repeated(Periodic(metrics), work, monkeypatch, 5)
    assert (one, three, four) == (0.25, 77.0, 0.0)
    assert 9.0 <= two <= 10.0


@pytest.mark.parametrize("error", [SourceError("no answer"), KernelError("no answer")])
async def test_an_error_of_a_source_or_the_kernel_is_counted_logged_and_the_job_tried_again(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise error

    with caplog.at_level(logging.ERROR, "zmban"):
        pauses = await repeated(Periodic(metrics), work, monkeypatch, 4)
    assert tries == 3
    assert all(9.0 <= pause <= 10.0 for pause in pauses)
    assert value(metrics, "errors_total") == 2
    assert caplog.messages == ["look: no answer; retrying"] * 2


@pytest.mark.parametrize("error", [StoreError("x"), ValueError("x"), OSError("x")])
async def test_any_other_error_is_a_fault_and_ends_the_job(metrics: Metrics, error: Exception) -> None:
    async def work() -> None:
        raise error

    with pytest.raises(type(error)):
        await Periodic(metrics).repeat(0.0, "look", work)
    assert value(metrics, "errors_total") == 0


async def test_the_time_of_the_last_success_is_kept_over_a_failure(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = iter((None, KernelError("x"), None))
    moments = iter((1000.0, 2000.0))
    seen: list[float | None] = []

    async def work() -> None:
        seen.append(value(metrics, "last_run_timestamp_seconds"))
        if error := next(outcomes):
            raise error

    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: next(moments), monotonic=time.monotonic))
    await repeated(Periodic(metrics), work, monkeypatch, 4)
    assert seen == [None, 1000.0, 1000.0]
    assert value(metrics, "last_run_timestamp_seconds") == 2000.0


async def test_each_job_is_a_task_with_its_name_and_all_end_with_the_group(metrics: Metrics) -> None:
    periodic, done = Periodic(metrics), list[str]()

    async def work() -> None:
        done.append("done")

    periodic.every(0.001, "quick", work)
    periodic.every(3600.0, "rare", work)
    async with asyncio.TaskGroup() as tasks:
        periodic.start(tasks)
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert {"quick", "rare"} <= names
        end = time.monotonic() + 5
        while len(done) < 3:
            assert time.monotonic() < end
            await asyncio.sleep(0.001)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


async def test_a_job_that_fails_ends_its_group(metrics: Metrics) -> None:
    periodic = Periodic(metrics)

    async def wrong() -> None:
        raise ValueError("a fault of the program")

    periodic.every(3600.0, "rare", nothing)
    periodic.every(0.0, "wrong", wrong, at_once=True)
    with pytest.raises(ExceptionGroup) as raised:
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            periodic.start(tasks)
    assert raised.group_contains(ValueError, match="a fault of the program")
