"""Ways to write many entries in a test: by one pass over the difference, or as the service reconciles."""

from __future__ import annotations

import asyncio

from sidecar.app.enforce.proof import CANARY
from sidecar.app.enforce.reconciler import Made, Reconciler
from sidecar.bans.table import BanTable
from sidecar.kernel.backend import Entries, Entry, EntryList
from sidecar.kernel.plan import steps
from sidecar.model import Ban
from sidecar.network import Network


def put(backend: EntryList, wanted: Entries) -> dict[Network, int]:
    """Write what differs, once; the errno of each write that was refused."""
    codes: dict[Network, int] = {}
    for deleting, entry, networks in steps(backend.differs(wanted)):
        codes |= (backend.erase if deleting else backend.write)(entry, networks)
    return codes


def reconcile(backend: EntryList, wanted: Entries, *, times: int = 1) -> Made:
    """What the service does so that these entries, and the canary, are present and no other; so often."""
    bans = (network for network, entry in wanted.items() if entry is Entry.BAN)
    table = BanTable(Ban(network, "smtp", 1.0, None, "manual") for network in bans)
    reconciler = Reconciler(backend, table)
    reconciler.exempt({network for network, entry in wanted.items() if entry is Entry.EXEMPT})
    for _ in range(times - 1):
        asyncio.run(reconciler.make_good())
    return asyncio.run(reconciler.make_good())


def standing(backend: EntryList) -> dict[Network, Entry]:
    """The entries without the canary."""
    return {network: entry for network, entry in backend.present().items() if network != CANARY}
