"""Start-up in order: who else runs here, routes first, then the logs, then those who ask."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import logging
import os
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

from sidecar.app.options import RuntimeOptions
from sidecar.app.reload import Reload
from sidecar.app.service import Service
from sidecar.configuration import watch as config_watch
from sidecar.configuration.loading import Loaded
from sidecar.host import table_lock
from sidecar.kernel.netlink import NoNetAdmin
from sidecar.model import ConfigError, ZmbanError
from sidecar.offline.check import host

_log = logging.getLogger("zmban")


async def serve(
    loaded: Loaded,
    state: Path,
    socket: Path,
    *,
    dry_run: bool,
    listen: str | None,
    watch: bool = False,
    begun: Callable[[], None] = lambda: None,
    on_hangup: Callable[[Callable[[], None]], None] = lambda _: None,
) -> None:
    """Run until cancelled; `begun` is called when there is something to end in order, `on_hangup` with what
    reads the configuration anew. With `watch` that happens whenever its files change. NoNetAdmin, ConfigError
    and StoreError end it with one sentence."""
    from sidecar.serve import control

    control.claim(socket)
    with claimed(state), contextlib.ExitStack() as owned:
        doubts = await table_lock.take(owned, loaded.settings.kernel, state, dry_run=dry_run)
        service = Service(loaded, RuntimeOptions(state, dry_run, doubts))
        if not service.enforcer.can_write():
            raise NoNetAdmin
        for fault in host.surroundings(loaded):
            _log.warning("%s", fault)
        if service.enforcer.suspended:
            _log.warning("suspended by flush: nobody is refused until zmban resume")
        if service.settings.kernel.on_stop == "flush":
            begun()
        # Routes stand before the heavy imports of those who ask.
        # What is made now stands as long as the process: to look for circles in it takes time and finds none.
        gc.disable()
        try:
            await service.start()
        except asyncio.CancelledError:
            service.enforcer.close(flush=service.settings.kernel.on_stop == "flush")
            raise
        gc.freeze()
        gc.enable()
        begun()
        reload = Reload(service)
        on_hangup(reload.soon)
        beside = [reload.run(), *([config_watch.watch(loaded.given, reload.soon)] if watch else ())]
        await _serve(service, socket, listen or service.settings.serve.listen, beside)


async def _serve(
    service: Service, socket: Path, listen: str, beside: Iterable[Coroutine[Any, Any, None]]
) -> None:
    """With `beside` it until the stop begins."""
    from sidecar.app.commands.dispatcher import ControlCommands
    from sidecar.app.pages import Pages
    from sidecar.serve import http
    from sidecar.serve.control import Control

    serving = service.settings.serve
    with contextlib.ExitStack() as doors:
        doors.callback(Control(socket, ControlCommands(service).handle).close)
        answers = http.Answers(service.metrics.text, service.ready)
        service.pages = Pages(answers, [one for one in (listen, serving.metrics) if one], serving.names)
        doors.enter_context(service.pages.open())
        for work in beside:
            doors.callback(asyncio.get_running_loop().create_task(work).cancel)
        try:
            await service.run(doors.close)
        except* ZmbanError as group:
            raise group.exceptions[0] from None


@contextlib.contextmanager
def claimed(state: Path) -> Iterator[None]:
    """The state directory for this process alone. ConfigError where another zmban holds it.

    The directory itself is locked, which works where nothing can be written too; and a file in it, by which
    earlier versions know each other. Where there is no directory, and none can be made, nothing is shared.
    """
    with contextlib.ExitStack() as stack:
        try:
            state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            _log.error("%s cannot be made: %s", state, error.strerror)
        for path, flags in ((state, os.O_RDONLY | os.O_DIRECTORY), (state / "lock", os.O_RDWR | os.O_CREAT)):
            with contextlib.suppress(OSError):
                descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
                stack.callback(os.close, descriptor)
                if not _locked(descriptor):
                    raise ConfigError(
                        f"{state}: another zmban works with this state; stop it, or use --state"
                    )
        yield


def _locked(descriptor: int) -> bool:
    """Lock a file; False where somebody else holds it. A disk that knows no such locks keeps nobody away."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        _log.warning("a lock on the state cannot be had (%s): no second zmban may use it", error.strerror)
    return True
