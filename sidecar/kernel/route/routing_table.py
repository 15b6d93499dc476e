"""The ban list as one routing table: blackhole and throw routes, and the rules that lead to them."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from sidecar.kernel.backend import NOTHING, Difference, Entries, Entry, EntryFault, EntryList
from sidecar.kernel.netlink.codec import ENTRIES, PROTOCOL, TABLE_LOCAL, TABLE_MAIN, TYPE_NAMES, Rule
from sidecar.kernel.netlink.connection import RECEIVE_BUFFER, Netlink, Receipt
from sidecar.kernel.netlink.route_dump import RouteDump
from sidecar.kernel.plan import difference
from sidecar.model import KernelError
from sidecar.network import Network

TABLE = 2520

# After the local table (0, and 100 on a host with Cilium), so that a ban never applies to the host's own
# addresses; before every rule that sends packets away: AWS VPC CNI 512, Tailscale 5210, wg-quick 32764,
# main 32766.
PREFERENCE = 252

_IPV6 = Path("/proc/sys/net/ipv6")
_ROUNDS = 6
_COVERS = "it covers a protected network, and in table main nothing can be kept reachable under it"
_FOREIGN = "a route that is not zmban's stands on this prefix"


def route_fault(network: Network, entry: Entry, code: int) -> EntryFault:
    """A route that cannot be written, in the kernel's words; `code` is its errno, 0 for a ban that covers a
    protected network in table main."""
    why = {0: _COVERS, errno.EEXIST: _FOREIGN}.get(code) or os.strerror(code)
    return EntryFault(network, entry, code, f"{TYPE_NAMES[entry]} {network}: {why}")


class RoutingTable(EntryList):
    """Our routes in one routing table of this network namespace.

    `table` is a number of our own or "main" (254), which needs no rule and cannot exempt. Ours are the
    blackhole and throw routes with this `protocol`; no other route is ever changed. `ipv6` exists on a kernel
    with IPv6. Every method may raise KernelError; those that write, NoNetAdmin. Calls from several threads
    wait for each other.
    """

    def __init__(
        self,
        table: int | Literal["main"] = TABLE,
        *,
        protocol: int = PROTOCOL,
        preference: int = PREFERENCE,
        receive_buffer: int = RECEIVE_BUFFER,
        ipv6: Path = _IPV6,
    ) -> None:
        self._table = TABLE_MAIN if table == "main" else table
        if not 0 < self._table < 1 << 32 or self._table in (253, 255) or not 0 < preference < 32766:
            raise ValueError("a table of our own or main, and a preference between local and main")
        self._main = self._table == TABLE_MAIN
        self._protocol, self._preference, self._ipv6 = protocol, preference, ipv6
        self._types = {n: e for n, e in ENTRIES.items() if e is Entry.BAN or not self._main}
        self._lock = threading.RLock()
        self._netlink = Netlink(receive_buffer)

    def close(self) -> None:
        """Close the socket; routes and rules stay."""
        self._netlink.close()

    @property
    def table(self) -> int:
        """Its number."""
        return self._table

    @property
    def port(self) -> int:
        """The netlink port by which the kernel marks our own changes."""
        return self._netlink.port

    @property
    def versions(self) -> tuple[int, ...]:
        """(4, 6), or (4,) on a host without IPv6."""
        return (4, 6) if self._ipv6.exists() else (4,)

    @property
    def can_exempt(self) -> bool:
        """Whether throw routes can be used."""
        return not self._main

    def can_write(self) -> bool:
        """Whether the process holds NET_ADMIN; changes nothing."""
        return self._netlink.can_write()

    def present(self) -> dict[Network, Entry]:
        """Our routes as the kernel has them now."""
        return {n: entry for one in self._dumps(NOTHING) for n, entry in one.entries.items()}

    def differs(self, wanted: Entries) -> Difference:
        """What must be written. While another thread writes this is a suspicion: when the IPv6 tree changes,
        the kernel begins its dump again, so that some routes are missing and others are listed twice."""
        with self._lock:
            dumps = self._dumps(wanted)
            doubles = frozenset(network for dump in dumps for network in dump.doubles)
            matched = sum(dump.matched for dump in dumps)
            if not doubles and matched in (0, len(wanted)):
                others = {n: entry for dump in dumps for n, entry in dump.entries.items()}
                return Difference({} if matched else wanted, others)
            return replace(difference(wanted, self.present()), doubles=doubles)

    def write(self, entry: Entry, networks: Sequence[Network]) -> dict[Network, int]:
        """Add these routes; EEXIST if any route stands on the prefix, ENOBUFS if the answer was lost."""
        return _codes(self._netlink.add_routes(entry, self._table, networks, self._protocol), networks)

    def erase(self, entry: Entry, networks: Sequence[Network]) -> dict[Network, int]:
        """Delete these routes; ESRCH if there was no such route of ours."""
        return _codes(self._netlink.delete_routes(entry, self._table, networks, self._protocol), networks)

    def add(self, network: Network, entry: Entry = Entry.BAN) -> None:
        """Write one route, in place of one of ours of the other type; no effect on a host without this
        family. KernelError if a foreign route is there."""
        if network.version not in self.versions:
            return
        with self._lock:
            code = self.write(entry, [network]).get(network, 0)
            if code == errno.EEXIST:
                # The kernel does not say whose route it is. Ours can be deleted by its protocol number:
                # if a route still stands after that, it is foreign. No dump of 300,000 routes for one ban.
                self.remove(network)
                code = self.write(entry, [network]).get(network, 0)
        if code:
            raise KernelError(str(self.fault(network, entry, code)))

    def remove(self, network: Network) -> None:
        """Delete our route on exactly this prefix, of whatever type; no effect if there is none."""
        if network.version not in self.versions:
            return
        with self._lock:
            for entry in self._types.values():
                code = self.erase(entry, [network]).get(network, 0)
                if code not in (0, errno.ESRCH):
                    raise KernelError(str(self.fault(network, entry, code)))

    def fault(self, network: Network, entry: Entry, code: int) -> EntryFault:
        """Why this route cannot be written."""
        return route_fault(network, entry, code)

    def ensure_rules(self) -> tuple[int, ...]:
        """Add the rule that leads to our table where it is missing; returns the families without it."""
        missing = self.rules_missing()
        for version in missing:
            self._netlink.add_rule(self._rule(version))
        for version in () if self._main else self.versions:
            for rule in self._our_rules(version):
                if rule != self._rule(version):  # left by an earlier preference
                    self._netlink.delete_rule(rule)
        return missing

    def rules_missing(self) -> tuple[int, ...]:
        """The families in which no rule leads packets to our table; never any for table main."""
        versions = () if self._main else self.versions
        return tuple(v for v in versions if self._rule(v) not in self._netlink.rules(v))

    def rules_before(self, version: int) -> list[int]:
        """The preferences of the rules before ours, except those of the local table."""
        rules = () if self._main else self._netlink.rules(version)
        earlier = [rule for rule in rules if rule.preference < self._preference]
        return sorted(rule.preference for rule in earlier if rule.table != TABLE_LOCAL)

    def reachable(self, network: Network) -> bool:
        """Whether the kernel knows a route to this single address."""
        return self._netlink.lookup(network) == 0

    def refuses(self, network: Network) -> bool:
        """Whether a blackhole, ours or not, refuses this single address."""
        return self._netlink.lookup(network) == errno.EINVAL

    def flush(self, bans: Sequence[Network] = ()) -> int:
        """Delete our rules and routes; the rules first, which lifts all bans at once, then these bans, then
        what a dump lists. Returns how many routes were deleted.

        A million routes take half the time in the order in which they were written: the kernel finds them
        beside each other in memory.
        """
        with self._lock:
            for version in () if self._main else self.versions:
                for rule in self._our_rules(version):
                    self._netlink.delete_rule(rule)
            removed = len(bans) - len(self.erase(Entry.BAN, bans))
            where = self._table, self._types, self._protocol
            removed += sum(self._netlink.sweep(version, *where) for version in self.versions)
            # The sweep leaves messages of an odd shape; of several routes on one prefix one goes at a time.
            for _ in range(_ROUNDS):
                gone = sum(self._erased(entry, self.present()) for entry in self._types.values())
                if not gone:
                    break
                removed += gone
        return removed

    def _erased(self, entry: Entry, present: Entries) -> int:
        networks = [network for network, one in present.items() if one is entry]
        return len(networks) - len(self.erase(entry, networks))

    def _rule(self, version: int) -> Rule:
        return Rule(version, self._preference, self._table, self._protocol, plain=True)

    def _our_rules(self, version: int) -> list[Rule]:
        ours = (self._table, self._protocol)
        return [rule for rule in self._netlink.rules(version) if (rule.table, rule.protocol) == ours]

    def _dumps(self, wanted: Entries) -> list[RouteDump]:
        """Our routes; those that are as wanted are only counted."""
        where = self._table, self._types, self._protocol
        return [self._netlink.routes(version, *where, wanted) for version in self.versions]


def _codes(receipt: Receipt, networks: Sequence[Network]) -> dict[Network, int]:
    codes = {networks[index]: code for index, code in receipt.errors.items()}
    return codes if receipt.complete else dict.fromkeys(networks, errno.ENOBUFS) | codes
