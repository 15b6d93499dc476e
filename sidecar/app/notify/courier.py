"""Sends the messages that wait. Each target fails for itself, and nothing waits for it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass
from typing import Any

from sidecar.app.active import ActiveConfiguration
from sidecar.app.notify import endpoints, wording
from sidecar.app.notify.endpoints import Endpoint
from sidecar.app.notify.message_queue import MessageQueue
from sidecar.delivery.delivery_error import DeliveryError
from sidecar.model import Seconds
from sidecar.serve.metrics import Metrics
from sidecar.settings import NotifySettings
from sidecar.threads import run_detached

_log = logging.getLogger("zmban.notify")

# Pauses after failures, doubled each time, less a random share.
_FIRST_PAUSE: Seconds = 5.0
_LONGEST_PAUSE: Seconds = 3600.0
# The most that a receiver can ask for by Retry-After.
_LONGEST_WISH: Seconds = 86400.0
# How often webhooks_file is read again, since a mounted secret changes by itself.
_READ_AGAIN: Seconds = 60.0


@dataclass
class _Target:
    endpoint: Endpoint
    task: asyncio.Task[None] | None = None
    failures: int = 0
    next_try: float = 0.0

    @property
    def busy(self) -> bool:
        return self.task is not None and not self.task.done()


class Courier:
    """`look` is called every second. A message is removed after its target accepted it, so it is sent twice
    if the service is killed in between."""

    def __init__(self, active: ActiveConfiguration, queue: MessageQueue, metrics: Metrics) -> None:
        self._active, self._queue, self._metrics = active, queue, metrics
        self._targets: dict[str, _Target] = {}
        self._read: NotifySettings | None = None
        self._read_at = 0.0

    async def look(self) -> None:
        """Begin what is due. Never raises: no error here may end the service."""
        try:
            await self._renew()
            self._queue.expire(time.time())
            for target in self._targets.values():
                if not target.busy and time.monotonic() >= target.next_try and self._waits(target):
                    target.task = asyncio.create_task(self._serve(target))
        except Exception:
            _log.exception("messages could not be sent")

    def _waits(self, target: _Target) -> bool:
        return next(self._queue.due(target.endpoint.name, time.time()), None) is not None

    async def _renew(self, *, now: bool = False) -> None:
        """Read the targets, if the settings changed or a minute passed."""
        settings = self._active.settings.notify
        age = time.monotonic() - self._read_at
        if not now and settings == self._read and (age < _READ_AGAIN or not settings.webhooks_file):
            return
        every, faults = await run_detached(endpoints.found, settings)
        self._read, self._read_at = settings, time.monotonic()
        names = {one.name: one for one in every}
        for name in self._targets.keys() - names.keys():
            self._cancel(self._targets.pop(name))
        for name, endpoint in names.items():
            target = self._targets.setdefault(name, _Target(endpoint))
            if target.endpoint != endpoint:
                target.endpoint, target.failures, target.next_try = endpoint, 0, 0.0
        self._queue.targets = tuple(names)
        keys = {f"[notify] {key}": why for key, why in faults.items()}
        for key in keys.keys() - self._queue.failing.keys():
            _log.error("%s: %s", key, keys[key])
        kept = {name: why for name, why in self._queue.failing.items() if name in names}
        self._queue.failing = kept | keys
        if not faults:
            self._queue.keep_for(names)

    async def _serve(self, target: _Target) -> None:
        """Send what waits for a target, up to the first failure."""
        name = target.endpoint.name
        for key, message in self._queue.due(name, time.time()):
            try:
                warning = await target.endpoint.send(message, key)
            except DeliveryError as error:
                if not error.permanent:
                    self._failed(target, str(error), error.after)
                    return
                self._refused(target, str(error))
            except Exception:
                _log.exception("%s", name)
                self._failed(target, "internal error, see the log", None)
                return
            else:
                self._sent(target, warning)
            self._queue.done(key, name)

    def _sent(self, target: _Target, warning: str) -> None:
        name = target.endpoint.name
        self._count(target, "sent")
        target.failures, target.next_try = 0, 0.0
        if self._queue.failing.pop(name, None):
            _log.warning("%s: works again", name)
        if warning:
            _log.warning("%s: %s", name, warning)

    def _refused(self, target: _Target, why: str) -> None:
        name = target.endpoint.name
        self._count(target, "refused")
        target.failures = 0
        self._tell(name, f"refuses messages, which are dropped: {why}")

    def _failed(self, target: _Target, why: str, wish: Seconds | None) -> None:
        name = target.endpoint.name
        self._count(target, "failed")
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(target.failures, 20))
        pause *= random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        pause = max(pause, min(wish or 0.0, _LONGEST_WISH))
        target.failures += 1
        target.next_try = time.monotonic() + pause
        self._tell(name, f"{why}; trying again")

    def _tell(self, name: str, why: str) -> None:
        if name not in self._queue.failing:
            _log.error("%s: %s", name, why)
        self._queue.failing[name] = why

    def _count(self, target: _Target, result: str) -> None:
        self._metrics.notifications.labels(target.endpoint.kind, result).inc()

    async def test(self) -> list[dict[str, Any]]:
        """Send a test message to each target now; `result` is `sent`, or `failed` with the reason."""
        await self._renew(now=True)
        tried = await asyncio.gather(*(self._try(target) for target in list(self._targets.values())))
        faults = {key: why for key, why in self._queue.failing.items() if key.startswith("[notify] ")}
        return [*tried, *({"target": k, "result": "failed", "reason": why} for k, why in faults.items())]

    async def _try(self, target: _Target) -> dict[str, Any]:
        name, now = target.endpoint.name, time.time()
        try:
            warning = await target.endpoint.send(wording.trial(now), f"test-{now:.0f}")
        except DeliveryError as error:
            return {"target": name, "result": "failed", "reason": str(error)}
        except Exception:
            _log.exception("%s", name)
            return {"target": name, "result": "failed", "reason": "internal error, see the log"}
        self._sent(target, "")
        return {"target": name, "result": "sent", "reason": warning or None}

    def _cancel(self, target: _Target) -> None:
        if target.task is not None:
            target.task.cancel()

    def stop(self) -> None:
        """Break off what is being sent; it is sent after the next start."""
        for target in self._targets.values():
            self._cancel(target)
