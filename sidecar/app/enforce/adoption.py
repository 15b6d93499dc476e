"""Bans that only the kernel still knows: taken back, where the database that knew more is lost."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from sidecar.app.background import run_uncancellable
from sidecar.app.enforce.proof import CANARY
from sidecar.app.report import ban_log
from sidecar.kernel.routes import RouteKind
from sidecar.model import ADOPTED, Ban, counted

if TYPE_CHECKING:
    from sidecar.app.service import Service

_log = logging.getLogger("zmban.store")
_IMPORT = "import"


async def adopt(service: Service, why: str) -> None:
    """Take back the bans that only the kernel still knows, as long as the longest of the jails.

    Each stands in for a ban of which nobody can tell more, and gives way (`BanTable.give_way`) when a log
    that is read again, or the damaged database, bans exactly the same network. A ban that is wider or
    narrower says nothing of it: a person may have banned the one, and a log the other.
    """
    known = set(service.table.networks())
    present = await run_uncancellable(service.enforcer.present)
    times = [jail.bantime for jail in service.jails.values()]
    now = time.time()
    until = None if None in times else now + max(time for time in times if time is not None)
    # Not counted, as no ban of ours: growing ban times begin with the first that a log tells of.
    bans = [
        Ban(network, _IMPORT, now, until, "import", f"{ADOPTED}{why}", times=0)
        for network, kind in present.items()
        if kind is RouteKind.BLACKHOLE and network != CANARY and network not in known
        if network not in service.enforcer.throws and service.judge.guard.refuse(network) is None
    ]
    if not bans:
        return
    what = counted(len(bans), "ban is", "bans are")
    _log.error("%s: %s taken back from the kernel; zmban unban lifts one", why, what)
    events = [event for event in map(service.table.ban, bans) if event is not None]
    # Their routes stand: nothing is written into the kernel, which would open them for a moment.
    service.metrics.observe(events)
    service.ledger.add(events)
    ban_log.tell(events)
