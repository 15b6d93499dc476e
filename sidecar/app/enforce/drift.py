"""What others change of ours in the kernel is put right at once; what changes on the host is looked at."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sidecar.app.background import run_uncancellable
from sidecar.app.enforce.enforcer import MOST_SINGLE
from sidecar.app.protect import protection
from sidecar.kernel import nftables
from sidecar.kernel.ingress import NAME
from sidecar.kernel.listener import Heard
from sidecar.model import KernelError, counted, plural

if TYPE_CHECKING:
    from sidecar.app.service import Service

_log = logging.getLogger("zmban.kernel")

# Who removes one route often removes the next: they are put right together, and two programs that undo each
# other's work do it a hundred times a second at most.
_GATHER_SECONDS = 0.01
# Interfaces come and go in swarms when containers start.
_LOOK_SECONDS = 1.0


class Drift:
    """Keeps the kernel as the service wants it, until cancelled."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._changed = asyncio.Event()
        self._looking = False

    async def run(self) -> None:
        """Where nothing can be heard, the reconcile of each minute has to do."""
        try:
            listener = self._service.enforcer.listener()
        except KernelError as error:
            _log.warning("%s; what somebody removes comes back within a minute", error)
            return
        if listener is None:
            return
        loop = asyncio.get_running_loop()
        with contextlib.closing(listener), _filters() as filters:
            heard = [listener.fileno(), *([filters.fileno()] if filters else [])]
            for descriptor in heard:
                loop.add_reader(descriptor, self._changed.set)
            try:
                await self.keep_ingress()
                while True:
                    await self._changed.wait()
                    await asyncio.sleep(_GATHER_SECONDS)
                    self._changed.clear()
                    news = listener.read()
                    # Without a default route every sender is unknown to the rule: it goes at once.
                    if news.around or (filters and nftables.touches(filters, NAME)):
                        await self.keep_ingress()
                    await self._answer(news)
            finally:
                for descriptor in heard:
                    loop.remove_reader(descriptor)

    async def keep_ingress(self) -> None:
        """What drops on the way in is as it should be."""
        self._tell("ingress", await run_uncancellable(self._service.enforcer.keep_ingress))

    def tell(self) -> None:
        """Count what others changed and is as it should be again; whoever found it, once."""
        for kind, number in self._service.enforcer.others().items():
            self._tell(kind, number)

    async def check(self) -> None:
        """Look at all of it, as if anything might have happened."""
        await self._take_over()
        await self.keep_ingress()
        await self._answer(Heard(rules=True, lost=True))

    async def _answer(self, heard: Heard) -> None:
        service, enforcer = self._service, self._service.enforcer
        if enforcer.suspended:
            return
        if heard.rules:
            try:
                await run_uncancellable(enforcer.mend_rules)
            except KernelError as error:
                _log.error("%s", error)
        if heard.lost or len(heard.routes) > MOST_SINGLE:
            await service.reconcile()
        else:
            enforcer.mend(service.table, heard.routes)
        self.tell()
        if heard.around and not self._looking:
            self._looking = True
            service.later(self._look())

    def _tell(self, kind: str, mended: int) -> None:
        if mended:
            self._service.metrics.drift.labels(kind).inc(mended)
            what = counted(mended, "ingress rule" if kind == "ingress" else kind)
            back = plural(mended, "it is", "they are")
            _log.warning("somebody removed or changed %s of ours; %s back", what, back)

    async def _look(self) -> None:
        """The host's addresses or its way out changed."""
        await asyncio.sleep(_LOOK_SECONDS)
        self._looking = False
        await self._take_over()

    async def _take_over(self) -> None:
        """What follows from the host's networks is written, and is nobody's doing."""
        if await protection.look_around(self._service):
            await self._service.reconcile()


@contextlib.contextmanager
def _filters() -> Iterator[socket.socket | None]:
    """Hears what changes in nftables; None where nothing can be heard, for there is none."""
    try:
        heard = nftables.listener()
    except KernelError as error:
        _log.info("%s", error)
        yield None
        return
    with contextlib.closing(heard):
        yield heard
