"""Restores bans from kernel routes if the database was lost."""

from __future__ import annotations

import logging
import time

from sidecar.app.active import ActiveConfiguration
from sidecar.app.bus import Bus
from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.protect.protection import Protection
from sidecar.bans.register import BanRegister
from sidecar.model import ADOPTED, Ban, counted

_log = logging.getLogger("zmban.store")
_IMPORT = "import"


async def adopt(
    why: str,
    active: ActiveConfiguration,
    register: BanRegister,
    protection: Protection,
    enforcer: Enforcer,
    bus: Bus,
) -> None:
    """Restore the bans of kernel routes that no known ban explains, for the longest ban time of the jails
    (for ever without a jail).

    Such a ban is replaced as soon as a log that is read again, or the damaged database, contains a ban of
    exactly its network. A ban of a wider or narrower network does not replace it: one may be manual, the
    other of a jail.
    """
    known = set(register.table.networks())
    present = await enforcer.banned_in_kernel()
    times = [jail.bantime for jail in active.jails.values()]
    now = time.time()
    until = None if None in times or not times else now + max(time for time in times if time is not None)
    # `times` is 0: these bans do not count for growing ban times.
    bans = [
        Ban(network, _IMPORT, now, until, "import", f"{ADOPTED}{why}", times=0)
        for network in present
        if network not in known and protection.refuse(network) is None
    ]
    if not bans:
        return
    what = counted(len(bans), "ban")
    _log.error("%s: %s restored from the routes in the kernel; zmban unban lifts one", why, what)
    bus.publish(event for ban in bans for event in register.ban(ban, now))
