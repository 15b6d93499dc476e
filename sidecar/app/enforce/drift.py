"""Repairs drift: restores at once what other programs change in the kernel, and reacts to changes of the
host's network.

systemd-networkd, CNI plugins and administrators remove routes and rules that they do not know. Polling would
leave bans open for up to a minute, and would read 300,000 routes to find one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from sidecar.app.background import BackgroundTasks
from sidecar.app.enforce.enforcer import MOST_SINGLE, Enforcer
from sidecar.kernel.backend import Heard
from sidecar.model import KernelError

_log = logging.getLogger("zmban.kernel")

# Wait before a repair. A program that removes one route often removes more; they are restored together. It
# also limits a conflict of two programs to a hundred repairs per second.
_GATHER_SECONDS = 0.01
# Wait before looking at the host. Many interfaces change at once when containers start.
_LOOK_SECONDS = 1.0


class DriftRepair:
    """`look_around` updates the facts about the host, and reconciles if the protected networks change."""

    def __init__(
        self, enforcer: Enforcer, background: BackgroundTasks, look_around: Callable[[], Awaitable[None]]
    ) -> None:
        self._enforcer, self._background, self._look_around = enforcer, background, look_around
        self._changed = asyncio.Event()
        self._looking = False

    async def run(self) -> None:
        """Run until cancelled. If the kernel announces no changes, drift is repaired by the check every
        minute."""
        try:
            changes = self._enforcer.changes()
        except KernelError as error:
            _log.warning("%s; what another program removes is restored within a minute", error)
            return
        if changes is None:
            return
        loop = asyncio.get_running_loop()
        with contextlib.closing(changes):
            descriptors = changes.filenos()
            for descriptor in descriptors:
                loop.add_reader(descriptor, self._changed.set)
            try:
                await self._enforcer.keep_ingress()
                while True:
                    await self._changed.wait()
                    await asyncio.sleep(_GATHER_SECONDS)
                    self._changed.clear()
                    heard = changes.read()
                    # Without a default route, the ingress rule drops every packet, so it is updated first.
                    if heard.around or heard.ingress:
                        await self._enforcer.keep_ingress()
                    await self._answer(heard)
            finally:
                for descriptor in descriptors:
                    loop.remove_reader(descriptor)

    async def check(self) -> None:
        """Check everything, regardless of announcements."""
        await self._look_around()
        await self._enforcer.keep_ingress()
        await self._answer(Heard(attachment=True, lost=True))

    async def _answer(self, heard: Heard) -> None:
        enforcer = self._enforcer
        if enforcer.suspended:
            return
        if heard.attachment:
            await enforcer.mend_attachment()
        if heard.lost or len(heard.entries) > MOST_SINGLE:
            await enforcer.reconcile()
        else:
            enforcer.mend(heard.entries)
        if heard.around and not self._looking:
            self._looking = True
            self._background.spawn(self._look_soon())

    async def _look_soon(self) -> None:
        await asyncio.sleep(_LOOK_SECONDS)
        self._looking = False
        await self._look_around()
