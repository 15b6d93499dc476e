"""Keeps the kernel's routing table equal to what is wanted: blackhole routes, throw routes, one rule."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from sidecar.kernel.codec import KINDS, PROTOCOL, TABLE_LOCAL, TABLE_MAIN, RouteKind, Rule
from sidecar.kernel.netlink import RECEIVE_BUFFER, Netlink, Receipt
from sidecar.kernel.plan import Applied, Difference, Fault, Keep, covering, difference, steps
from sidecar.kernel.reading import NOTHING, Reading, Routes
from sidecar.model import KernelError
from sidecar.network import Network

__all__ = ["PREFERENCE", "TABLE", "RouteKind", "RoutingTable"]

TABLE = 2520

# Behind the local table (0, and 100 on a host with Cilium), so that a ban never reaches the host's own
# addresses; before everything that sends packets away: AWS VPC CNI 512, Tailscale 5210, wg-quick 32764,
# main 32766.
PREFERENCE = 252

_IPV6 = Path("/proc/sys/net/ipv6")
_ROUNDS = 6
_COVERS = "it covers a protected network, and in table main nothing can be kept reachable under it"


class RoutingTable:
    """The bans of one routing table of this network namespace.

    `table` is a number of our own or "main" (254), which needs no rule and knows no throw routes: there a
    blackhole that covers a wanted throw is refused as a fault. Ours is what carries `protocol` and is a
    blackhole or throw; everything else is never touched. `ipv6` is where a kernel with IPv6 shows itself.
    Every method may raise KernelError; those that write, NoNetAdmin. Calls wait for each other.
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
        self._types = {RouteKind.BLACKHOLE.value: RouteKind.BLACKHOLE} if self._main else KINDS
        self._throws: set[Network] = set()  # only table main needs to remember them
        self._lock = threading.RLock()
        self._netlink = Netlink(receive_buffer)

    def close(self) -> None:
        """Give the socket back; routes and rules stay."""
        self._netlink.close()

    @property
    def table(self) -> int:
        """Its number."""
        return self._table

    @property
    def port(self) -> int:
        """By which the kernel tells that a change was ours."""
        return self._netlink.port

    @property
    def versions(self) -> tuple[int, ...]:
        """The families in which bans are enforced: (4, 6), or (4,) on a host without IPv6."""
        return (4, 6) if self._ipv6.exists() else (4,)

    @property
    def knows_throw(self) -> bool:
        """Whether a network can be kept reachable under a wider ban."""
        return not self._main

    def can_write(self) -> bool:
        """Whether the process holds NET_ADMIN; changes nothing."""
        return self._netlink.can_write()

    def present(self) -> dict[Network, RouteKind]:
        """Our routes as the kernel has them now."""
        return {n: kind for one in self._readings(NOTHING) for n, kind in one.routes.items()}

    def differs(self, wanted: Routes) -> Difference:
        """What a reconcile would write now; only reads.

        Where somebody writes meanwhile it is a suspicion: the kernel lists IPv6 routes anew from their
        beginning when its tree changes, so that some that stand are left out and others come twice.
        """
        with self._lock:
            return self._difference(self._admissible(wanted)[0])

    def reconcile(self, wanted: Routes, keep: Keep | None = None) -> Applied:
        """Make the kernel say `wanted`, one route per prefix; only the difference is written. Blackholes of
        ours that are not wanted stay where `keep` says so.

        If the kernel refused a route or lost its answers, the table is read again and the rest tried again;
        what still differs in the end is a fault.
        """
        with self._lock:
            needed, refused, skipped = self._admissible(wanted)
            rest, kept = self._alone(needed), frozenset[Network]()
            if keep is not None:
                surplus = (n for n, kind in rest.remove.items() if kind is RouteKind.BLACKHOLE)
                kept = frozenset(n for n in surplus if n not in needed and keep(n))
                needed = {**needed, **dict.fromkeys(kept, RouteKind.BLACKHOLE)} if kept else needed
                rest = Difference(rest.add, {n: kind for n, kind in rest.remove.items() if n not in kept})
            first = rest
            codes: dict[Network, int] = {}
            for _ in range(_ROUNDS):
                if not rest:
                    break
                codes = self._apply(rest)
                before, rest = rest, self._alone(needed) if codes else Difference({}, {})
                if rest == before:
                    break
        return Applied(
            added=len(first.add) - len(rest.add.keys() & first.add.keys()),
            removed=len(first.remove) - len(rest.remove.keys() & first.remove.keys()),
            faults=(*refused, *_faults(rest, codes)),
            skipped=skipped,
            kept=kept,
        )

    def add(self, network: Network, kind: RouteKind = RouteKind.BLACKHOLE) -> None:
        """Write one route, in place of one of ours of the other kind; without effect if it stands already,
        or on a host without IPv6. KernelError if a foreign route is in the way."""
        with self._lock:
            if network.version not in self.versions:
                return
            if self._main and kind is RouteKind.THROW:
                self._throws.add(network)
                self._remove(network)
                return
            if self._main and any(network.covers(throw) for throw in self._throws):
                raise KernelError(str(Fault(network, kind, 0, _COVERS)))
            code = self._put(network, kind)
            if code == errno.EEXIST:
                # The kernel does not say whose route it is. Ours can be deleted by its protocol number:
                # if something still stands then, it is foreign. No dump of 300,000 routes for one ban.
                self._remove(network)
                code = self._put(network, kind)
        if code:
            raise KernelError(str(Fault.of(network, kind, code)))

    def remove(self, network: Network) -> None:
        """Delete our route on exactly this prefix, of whatever kind; without effect if there is none."""
        with self._lock:
            self._throws.discard(network)
            if network.version in self.versions:
                self._remove(network)

    def ensure_rules(self) -> tuple[int, ...]:
        """Add the rule that leads to our table where it is missing; returns the families that lacked it."""
        missing = tuple(version for version in self.versions if version not in self.rules_present())
        for version in missing:
            self._netlink.add_rule(self._rule(version))
        for version in () if self._main else self.versions:
            for rule in self._our_rules(version):
                if rule != self._rule(version):  # left by an earlier preference
                    self._netlink.delete_rule(rule)
        return missing

    def rules_present(self) -> tuple[int, ...]:
        """The families in which packets are led to our table; for table main, all that are enforced."""
        return tuple(
            version
            for version in self.versions
            if self._main or self._rule(version) in self._netlink.rules(version)
        )

    def rules_before(self, version: int) -> list[int]:
        """The preferences of the rules that are asked before ours, but for the local table's own."""
        rules = () if self._main else self._netlink.rules(version)
        earlier = [rule for rule in rules if rule.preference < self._preference]
        return sorted(rule.preference for rule in earlier if rule.table != TABLE_LOCAL)

    def reachable(self, network: Network) -> bool:
        """Whether the kernel knows a way to this single address."""
        return self._netlink.lookup(network) == 0

    def refuses(self, network: Network) -> bool:
        """Whether a blackhole, ours or not, refuses this single address."""
        return self._netlink.lookup(network) == errno.EINVAL

    def flush(self) -> Applied:
        """Take every rule and every route of ours out of the kernel; the rules first, which lifts all bans
        at once."""
        with self._lock:
            for version in () if self._main else self.versions:
                for rule in self._our_rules(version):
                    self._netlink.delete_rule(rule)
            where = self._table, self._types, self._protocol
            swept = sum(self._netlink.sweep(version, *where) for version in self.versions)
            rest = self.reconcile({})
        return replace(rest, removed=rest.removed + swept)

    def _rule(self, version: int) -> Rule:
        return Rule(version, self._preference, self._table, self._protocol, plain=True)

    def _our_rules(self, version: int) -> list[Rule]:
        ours = (self._table, self._protocol)
        return [rule for rule in self._netlink.rules(version) if (rule.table, rule.protocol) == ours]

    def _admissible(self, wanted: Routes) -> tuple[Routes, list[Fault], int]:
        """What can be written, what zmban must refuse, how many networks are of a family this host lacks."""
        versions = self.versions
        refused: list[Fault] = []
        skipped = 0 if 6 in versions else sum(network.version == 6 for network in wanted)
        if skipped:
            wanted = {network: kind for network, kind in wanted.items() if network.version in versions}
        if self._main:
            self._throws = {network for network, kind in wanted.items() if kind is RouteKind.THROW}
            blackholes = {network: kind for network, kind in wanted.items() if kind is RouteKind.BLACKHOLE}
            wide = covering(self._throws, blackholes)
            refused.extend(Fault(network, blackholes.pop(network), 0, _COVERS) for network in wide)
            wanted = blackholes
        return wanted, refused, skipped

    def _readings(self, wanted: Routes) -> list[Reading]:
        """Our routes, those that are as wanted only counted."""
        where = self._table, self._types, self._protocol
        return [self._netlink.routes(version, *where, wanted) for version in self.versions]

    def _difference(self, needed: Routes) -> Difference:
        """What must be written; only reads."""
        readings = self._readings(needed)
        doubles = frozenset(network for reading in readings for network in reading.doubles)
        matched = sum(reading.matched for reading in readings)
        if not doubles and matched in (0, len(needed)):
            others = {n: kind for reading in readings for n, kind in reading.routes.items()}
            return Difference({} if matched else needed, others)
        return replace(difference(needed, self.present()), doubles=doubles)

    def _alone(self, needed: Routes) -> Difference:
        """What must be written. Where several of ours stand on one prefix, all go, to be written afresh."""
        change = self._difference(needed)
        for _ in range(_ROUNDS):
            if not change.doubles:
                break
            for kind in self._types.values():
                self._delete(kind, list(change.doubles))
            change = self._difference(needed)
        return change

    def _apply(self, change: Difference) -> dict[Network, int]:
        """Write a difference; the errno of each refused route. Without one no second look is needed."""
        codes: dict[Network, int] = {}
        for deleting, kind, networks in steps(change):
            refused = (self.erase if deleting else self.write)(kind, networks)
            codes |= {n: code for n, code in refused.items() if not (deleting and code == errno.ESRCH)}
        return codes

    def write(self, kind: RouteKind, networks: Sequence[Network]) -> dict[Network, int]:
        """Write these routes, whatever stands there; the errno of each that was refused: EEXIST where any
        route stands on the prefix, ENOBUFS where the answer was lost. Each is asked and done in one."""
        return self._each(self._create(kind, networks), networks)

    def erase(self, kind: RouteKind, networks: Sequence[Network]) -> dict[Network, int]:
        """As `write`, delete: ESRCH where no such route of ours stood."""
        return self._each(self._delete(kind, networks), networks)

    @staticmethod
    def _each(receipt: Receipt, networks: Sequence[Network]) -> dict[Network, int]:
        codes = {networks[index]: code for index, code in receipt.errors.items()}
        return codes if receipt.complete else dict.fromkeys(networks, errno.ENOBUFS) | codes

    def _create(self, kind: RouteKind, networks: Sequence[Network]) -> Receipt:
        return self._netlink.add_routes(kind, self._table, networks, self._protocol)

    def _delete(self, kind: RouteKind, networks: Sequence[Network]) -> Receipt:
        return self._netlink.delete_routes(kind, self._table, networks, self._protocol)

    def _put(self, network: Network, kind: RouteKind) -> int:
        """Write one route; the errno, 0 for success."""
        return self._create(kind, [network]).errors.get(0, 0)

    def _remove(self, network: Network) -> None:
        for kind in self._types.values():
            code = self._delete(kind, [network]).errors.get(0, 0)
            if code not in (0, errno.ESRCH):
                raise KernelError(str(Fault.from_code(network, kind, code)))


def _faults(rest: Difference, codes: Mapping[Network, int]) -> Iterator[Fault]:
    """What is still not as wanted, and what the kernel said to it."""
    for network, kind in {**rest.remove, **rest.add}.items():
        yield Fault.of(network, kind, codes.get(network, 0))
