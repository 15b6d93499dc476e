"""Startup, main loop and shutdown of the service."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sidecar.app.bans.adoption import adopt
from sidecar.app.bootstrap import Components, build
from sidecar.app.config_reload import configured
from sidecar.app.runtime_options import RuntimeOptions
from sidecar.configuration.loading import Loaded
from sidecar.configuration.watch import ConfigWatch
from sidecar.host import regex_budget, table_lock
from sidecar.kernel import registry
from sidecar.kernel.backend import NoNetAdmin
from sidecar.model import ZmbanError
from sidecar.offline.check import host_check
from sidecar.serve import control
from sidecar.store.state_lock import claimed

_log = logging.getLogger("zmban")


def _nothing() -> None:
    pass


def _never(_reload: Callable[[], None]) -> None:
    pass


@dataclass(frozen=True)
class Hooks:
    """Callbacks of the process: `begun` is called when a shutdown in order becomes necessary, `on_hangup`
    with the function that reloads the configuration."""

    begun: Callable[[], None] = _nothing
    on_hangup: Callable[[Callable[[], None]], None] = _never


async def serve(
    loaded: Loaded,
    state: Path,
    socket: Path,
    *,
    dry_run: bool,
    listen: str | None,
    tokens: Path | None = None,
    watch: bool = False,
    hooks: Hooks = Hooks(),
) -> None:
    """Run until cancelled. With `watch` the configuration is reloaded when its files change. NoNetAdmin,
    ConfigError and StoreError end the service with one sentence."""
    control.claim(socket)
    with claimed(state), contextlib.ExitStack() as owned:
        dry_run = dry_run or loaded.settings.kernel.backend == registry.DRY_RUN
        doubts = await table_lock.acquire(owned, loaded.settings.kernel, state, dry_run=dry_run)
        parts = build(loaded, RuntimeOptions(state, dry_run, doubts, tokens))
        if not parts.enforcer.can_write():
            raise NoNetAdmin
        for fault in host_check.surroundings(loaded):
            _log.warning("%s", fault)
        on_stop = parts.active.settings.kernel.on_stop
        if on_stop == "flush":
            hooks.begun()
        try:
            await _without_collector(parts)
        except asyncio.CancelledError:
            parts.enforcer.close(flush=on_stop == "flush")
            raise
        hooks.begun()
        hooks.on_hangup(parts.reload.soon)
        if watch:
            changes = ConfigWatch(loaded.given, parts.reload.soon)
            parts.periodic.every(2.0, "configuration files", changes.look, at_once=True)
        await _main_loop(parts, socket, listen)


async def _without_collector(parts: Components) -> None:
    """Exclude objects created at the start from garbage collection: they live as long as the process."""
    gc.disable()
    try:
        await startup(parts)
        gc.freeze()
    finally:
        gc.enable()


async def startup(parts: Components) -> None:
    """Write the bans of the database into the kernel, before a line is read or the libraries of the HTTP
    server are imported."""
    if parts.enforcer.suspended:
        _log.warning("suspended by zmban flush: no ban is enforced until zmban resume")
    memory = parts.memory
    await parts.protection.begin()
    parts.bus.publish(memory.register.expire(parts.started))
    if memory.store.lost:
        await adopt(
            memory.store.lost, parts.active, memory.register, parts.protection, parts.enforcer, parts.bus
        )
    applied = await parts.enforcer.reconcile(keep_unknown=True)
    _log.info("%d active bans; %d routes written", len(memory.register.table), applied)
    configured(parts.active, parts.metrics)


async def _main_loop(parts: Components, socket: Path, listen: str | None) -> None:
    from sidecar.app import doors

    with contextlib.ExitStack() as opened:
        opened.enter_context(doors.opened(parts, socket, listen))
        try:
            await run(parts, opened.close)
        except* ZmbanError as group:
            raise _first(group) from None


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def run(parts: Components, at_stop: Callable[[], None] = _nothing) -> None:
    """Run until cancelled; `at_stop` is called when the cancellation arrives. If a component fails, the
    service ends and is restarted as a whole."""
    try:
        with regex_budget.limited():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(parts.logs.run(), name="logs")
                parts.periodic.start(tasks)
                tasks.create_task(parts.drift.run(), name="drift")
                tasks.create_task(parts.reload.run(), name="reload")
                tasks.create_task(_caught_up(parts), name="caught up")
                tasks.create_task(_until_cancelled(at_stop), name="doors")
    finally:
        await shutdown(parts)


async def _caught_up(parts: Components) -> None:
    """Remove unknown blackhole routes once every backlog is read."""
    await parts.logs.caught_up.wait()
    parts.enforcer.forget_unknown()
    await parts.enforcer.reconcile()


async def _until_cancelled(then: Callable[[], None]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        then()


async def shutdown(parts: Components) -> None:
    """Finish running work, commit everything, and keep or remove the routes."""
    parts.salvage.stop()
    await parts.announcer.finish()
    parts.recorder.finish()
    await parts.background.settled()
    await parts.commit_queue.commit()
    parts.commit_queue.database.close()
    parts.resolver.close()
    on_stop = parts.active.settings.kernel.on_stop
    parts.enforcer.close(flush=on_stop == "flush" and not parts.enforcer.suspended)
