"""Start-up in order: who else runs here, routes first, then the logs, then those who ask."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from sidecar.app import check
from sidecar.app.configuration import Loaded
from sidecar.app.service import Place, Service
from sidecar.kernel.netlink import NoNetAdmin
from sidecar.model import ZmbanError

_log = logging.getLogger("zmban")


async def serve(loaded: Loaded, state: Path, socket: Path, *, dry_run: bool, listen: str | None) -> None:
    """Run until cancelled. NoNetAdmin, ConfigError and StoreError end it with one sentence."""
    service = Service(loaded, Place(state, dry_run))
    if not service.enforcer.can_write():
        raise NoNetAdmin
    for fault in check.surroundings(loaded):
        _log.warning("%s", fault)
    if service.enforcer.suspended:
        _log.warning("suspended by flush: nobody is refused until zmban resume")
    # Routes stand before the heavy imports of those who ask.
    await service.start()
    from sidecar.app.orders import Orders
    from sidecar.serve import control, http

    server = await control.serve(socket, Orders(service).handle)
    addresses = [listen or service.settings.serve.listen, service.settings.serve.metrics]
    answers = http.Answers(service.metrics.text, service.alive, service.ready)
    runner = await http.listen(answers, [address for address in addresses if address])
    try:
        await service.run()
    except* ZmbanError as group:
        raise group.exceptions[0] from None
    finally:
        server.close()
        socket.unlink(missing_ok=True)
        await asyncio.shield(runner.cleanup())
