"""Periodic jobs, each with its own pause. Errors are counted."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, NoReturn, TypeAlias

from sidecar.model import KernelError, Seconds, SourceError
from sidecar.serve.metrics import Metrics

_log = logging.getLogger("zmban")
# Random share of the pause, so that jobs do not run at the same moment.
_JITTER = 0.1

# One run of a job. May return the pause before the next run, if it differs from the usual one.
Work: TypeAlias = Callable[[], Awaitable[Seconds | None]]


class _Job(NamedTuple):
    seconds: Seconds
    name: str
    work: Work
    at_once: bool


class Periodic:
    """Runs jobs. A SourceError or KernelError is logged and counted, and the job runs again after its pause.
    Any other exception is a bug, and ends the service."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._jobs: list[_Job] = []

    def every(self, seconds: Seconds, name: str, work: Work, *, at_once: bool = False) -> None:
        """Register a job that runs every `seconds` after `start`: first after this pause, or `at_once`."""
        self._jobs.append(_Job(seconds, name, work, at_once))

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Run each job as a task of this group, until it is cancelled."""
        for job in self._jobs:
            work = self.repeat(job.seconds, job.name, job.work, at_once=job.at_once)
            tasks.create_task(work, name=job.name)

    async def repeat(self, seconds: Seconds, name: str, work: Work, *, at_once: bool = False) -> NoReturn:
        """Run a job every `seconds` until cancelled."""
        pause: Seconds | None = 0.0 if at_once else seconds
        # Visible at 0, so that Prometheus sees the first error.
        self._metrics.job_errors.labels(name)
        while True:
            if pause is None:
                pause = seconds * random.uniform(1 - _JITTER, 1)  # noqa: S311 - no secret
            due = time.monotonic() + pause
            await asyncio.sleep(pause)
            self._metrics.loop_lag.observe(max(0.0, time.monotonic() - due))
            pause = await self._once(name, work)

    async def _once(self, name: str, work: Work) -> Seconds | None:
        try:
            pause = await work()
        except (SourceError, KernelError) as error:
            _log.error("%s: %s; retrying", name, error)
            self._metrics.job_errors.labels(name).inc()
            return None
        self._metrics.job_last_run.labels(name).set(time.time())
        return pause
