"""The backend for production: blackhole routes, and one nftables table for incoming packets."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Literal

from sidecar.kernel.backend import BanBackend, Difference, Entries, Entry, EntryFault, Way
from sidecar.kernel.route.ingress import Ingress
from sidecar.kernel.route.route_changes import RouteChanges
from sidecar.kernel.route.routing_table import TABLE, RoutingTable
from sidecar.model import KernelError
from sidecar.network import Network
from sidecar.settings import KernelSettings

_log = logging.getLogger("zmban.kernel")
_MAIN: Literal["main"] = "main"


class RouteBackend(BanBackend):
    """One routing table by two sockets: `_fast` writes from the event loop's thread and never waits for a
    dump, `_bulk` reads in another thread at the same time."""

    def __init__(self, kernel: KernelSettings) -> None:
        self._settings = kernel
        with contextlib.ExitStack() as stack:
            self._fast, self._bulk = (
                stack.enter_context(contextlib.closing(table)) for table in (self._table(), self._table())
            )
            self._opened = stack.pop_all()
        self._ingress = Ingress(kernel.ingress)

    def _table(self) -> RoutingTable:
        return RoutingTable(self._settings.table, preference=self._settings.preference)

    @property
    def versions(self) -> tuple[int, ...]:
        """(4, 6), or (4,) on a host without IPv6."""
        return self._bulk.versions

    @property
    def can_exempt(self) -> bool:
        """In every table but main."""
        return self._bulk.can_exempt

    def can_write(self) -> bool:
        """Whether the process holds NET_ADMIN."""
        return self._fast.can_write()

    def present(self) -> dict[Network, Entry]:
        """Our routes as the kernel has them now."""
        return self._bulk.present()

    def differs(self, wanted: Entries) -> Difference:
        """Compares while it reads: a route that is as wanted costs no memory."""
        return self._bulk.differs(wanted)

    def write(self, entry: Entry, networks: Sequence[Network]) -> Mapping[Network, int]:
        """1,000 routes take 3 ms."""
        return self._fast.write(entry, networks)

    def erase(self, entry: Entry, networks: Sequence[Network]) -> Mapping[Network, int]:
        """1,000 routes take 3 ms."""
        return self._fast.erase(entry, networks)

    def add(self, network: Network, entry: Entry = Entry.BAN) -> None:
        """KernelError if a foreign route stands on the prefix."""
        self._fast.add(network, entry)

    def remove(self, network: Network) -> None:
        """Of whatever type the route is."""
        self._fast.remove(network)

    def fault(self, network: Network, entry: Entry, code: int) -> EntryFault:
        """In the kernel's words: `blackhole 203.0.113.7/32: ...`."""
        return self._bulk.fault(network, entry, code)

    def attach(self) -> tuple[int, ...]:
        """Add the rules that lead to our table."""
        return self._bulk.ensure_rules()

    def detached(self) -> Mapping[int, str]:
        """The families without a rule."""
        missing = self._bulk.rules_missing()
        return {version: f"no rule for IPv{version} leads to our table" for version in missing}

    def lets_through(self, network: Network) -> str | None:
        """By RTM_GETROUTE. A rule before ours is the likely reason."""
        if not self._bulk.reachable(network):
            return None
        before = self._bulk.rules_before(network.version)
        return f"the rule at {before[0]} is asked before ours" if before else ""

    def refuses(self, network: Network) -> bool:
        """By RTM_GETROUTE."""
        return self._bulk.refuses(network)

    def ensure_ingress(self) -> int:
        """Write the nftables rules that `[kernel] ingress` asks for."""
        return self._ingress.ensure()

    def dropped(self) -> int:
        """By the counters of those rules."""
        return self._ingress.dropped()

    def ways(self) -> tuple[Way, ...]:
        """For each family and interface with a default route."""
        return self._ingress.ways

    def changes(self) -> RouteChanges:
        """Announcements of rtnetlink and nftables."""
        return RouteChanges((self._fast.port, self._bulk.port), self._bulk.table)

    def flush(self, bans: Sequence[Network] = (), *, everywhere: bool = True) -> int:
        """Everywhere means also the default table and main, in which an earlier run may have written. A table
        that cannot be flushed does not keep the others; the last KernelError is raised at the end."""
        removed, failed = 0, None
        try:
            if not everywhere:
                return self._bulk.flush(bans)
            for name in dict.fromkeys((self._settings.table, TABLE, _MAIN)):
                try:
                    # By a socket of its own: it does not wait for a dump of `_bulk`.
                    with contextlib.closing(
                        RoutingTable(name, preference=self._settings.preference)
                    ) as table:
                        removed += table.flush(bans if name == self._settings.table else ())
                except KernelError as error:
                    _log.error("table %s: %s", name, error)
                    failed = error
        finally:
            self._remove_ingress()
        if failed is not None:
            raise failed
        return removed

    def _remove_ingress(self) -> None:
        try:
            self._ingress.remove()
        except KernelError as error:
            # A kernel without nftables has no table of ours.
            _log.info("%s", error)

    def close(self) -> None:
        """Close both sockets."""
        self._opened.close()
