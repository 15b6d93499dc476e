"""The routing table says what is wanted, at any size and after any fault, and nothing foreign is touched."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from sidecar.kernel.netlink import Netlink
from sidecar.kernel.plan import Applied
from sidecar.kernel.routes import RouteKind, RoutingTable
from sidecar.model import KernelError
from sidecar.network import Network
from tests.kernel.conftest import notifications

if TYPE_CHECKING:
    from tests.netns import Namespace

pytestmark = pytest.mark.kernel

BLACKHOLE, THROW = RouteKind.BLACKHOLE, RouteKind.THROW
FOUR, SIX = Network.parse("203.0.113.7"), Network.parse("2001:db8:1::/64")


@pytest.fixture
def table(host: Namespace) -> Iterator[RoutingTable]:
    with contextlib.closing(RoutingTable()) as made:
        yield made


def many(count: int, version: int = 4) -> dict[Network, RouteKind]:
    """Blackholes for `count` neighbouring addresses of 10/8, or /64s of 2001:db8::/32."""
    if version == 4:
        return {Network(4, 0x0A000000 + number, 32): BLACKHOLE for number in range(count)}
    return {Network(6, (0x20010DB8 << 96) + (number << 64), 64): BLACKHOLE for number in range(count)}


FOREIGN = (
    ("-4", "blackhole", "198.51.100.1/32", "proto", "static"),
    ("-4", "unreachable", "198.51.100.2/32", "proto", "222"),
    ("-4", "198.51.100.3/32", "dev", "lo", "proto", "222"),
    ("-6", "blackhole", "2001:db8:a::/64", "proto", "static"),
    ("-6", "2001:db8:b::/64", "dev", "wire", "proto", "222"),
)


def add_foreign(host: Namespace, number: str) -> list[str]:
    """Routes of other hands in the table; returns how `ip` shows them."""
    host.wire("wire")
    for family, *words in FOREIGN:
        host.ip(family, "route", "add", *words, "table", number)
    return host.routes(number)


def test_foreign_routes_in_the_same_table_outlive_reconcile_and_flush(
    host: Namespace, table: RoutingTable
) -> None:
    before = add_foreign(host, "2520")
    host.ip("rule", "add", "pref", "251", "table", "2520")
    assert table.present() == {}
    table.reconcile({FOUR: BLACKHOLE, SIX: BLACKHOLE})
    table.ensure_rules()
    assert table.flush() == Applied(removed=2)
    assert host.routes("2520") == before
    assert [rule["priority"] for rule in host.json("rule")] == [0, 251, 32766, 32767]


def test_a_foreign_route_on_the_same_prefix_is_a_fault_and_stays(
    host: Namespace, table: RoutingTable
) -> None:
    before = add_foreign(host, "2520")
    taken = [Network.parse("198.51.100.1"), Network.parse("198.51.100.3"), Network.parse("2001:db8:a::/64")]
    applied = table.reconcile(dict.fromkeys([*taken, FOUR], BLACKHOLE))
    assert applied.added == 1
    assert {(fault.network, fault.code) for fault in applied.faults} == {(one, errno.EEXIST) for one in taken}
    assert all("not zmban's" in fault.reason for fault in applied.faults)
    for network in taken:
        with pytest.raises(KernelError, match="not zmban's"):
            table.add(network)
        table.remove(network)
    table.flush()
    assert host.routes("2520") == before


def test_an_ipv6_delete_spares_an_administrators_unicast_route_on_the_same_prefix(
    host: Namespace, table: RoutingTable
) -> None:
    before = add_foreign(host, "2520")
    same = Network.parse("2001:db8:b::/64")
    host.ip("-6", "route", "add", "blackhole", str(same), "metric", "5", "proto", "222", "table", "2520")
    table.remove(same)
    assert host.routes("2520") == before


def test_table_main_gets_no_throw_no_rule_and_loses_nothing_foreign(host: Namespace) -> None:
    before = add_foreign(host, "main")
    wide, kept = Network.parse("10.0.0.0/8"), Network.parse("10.1.2.3")
    with contextlib.closing(RoutingTable("main")) as table:
        assert not table.knows_throw
        assert table.ensure_rules() == () and table.rules_present() == (4, 6)
        applied = table.reconcile({wide: BLACKHOLE, kept: THROW, FOUR: BLACKHOLE})
        assert applied.added == 1
        assert [(fault.network, fault.code) for fault in applied.faults] == [(wide, 0)]
        with pytest.raises(KernelError, match="covers a protected network"):
            table.add(wide)
        table.add(Network.parse("10.2.0.0/16"))
        assert table.present() == {FOUR: BLACKHOLE, Network.parse("10.2.0.0/16"): BLACKHOLE}
        assert table.flush().removed == 2
    assert host.routes("main") == before


@pytest.mark.parametrize("version", [4, 6])
def test_several_routes_of_ours_on_one_prefix_become_one(
    host: Namespace, table: RoutingTable, version: int
) -> None:
    network = FOUR if version == 4 else SIX
    for metric, kind in ((3, "blackhole"), (9, "throw"), (7, "blackhole")):
        words = (f"-{version}", "route", "add", kind, str(network), "proto", "222", "table", "2520")
        host.ip(*words, "metric", str(metric))
    assert table.reconcile({network: BLACKHOLE}).faults == ()
    assert len(host.routes("2520")) == 1
    assert table.present() == {network: BLACKHOLE}


def test_a_rule_of_an_earlier_preference_is_replaced(host: Namespace, table: RoutingTable) -> None:
    table.ensure_rules()
    with contextlib.closing(RoutingTable(preference=99)) as moved:
        assert moved.ensure_rules() == (4, 6)
        assert moved.rules_present() == (4, 6)
    assert [rule["priority"] for rule in host.json("-6", "rule")] == [0, 99, 32766]
    assert table.rules_present() == ()


def test_a_bulk_with_routes_standing_and_faults_in_its_midst(host: Namespace, table: RoutingTable) -> None:
    wanted = many(22_000)
    ordered = list(wanted)
    host_bits = [Network(4, 0x0B000001 + (number << 8), 24) for number in range(700)]
    mixed = dict.fromkeys([*ordered[:11_500], *host_bits, *ordered[11_500:]], BLACKHOLE)
    table.reconcile(dict.fromkeys(ordered[9_000:12_000], BLACKHOLE))
    foreign = ordered[15_000]
    host.ip("route", "add", "blackhole", str(foreign), "table", "2520", "proto", "static")
    applied = table.reconcile(mixed)
    assert (applied.added, applied.removed) == (22_000 - 3_000 - 1, 0)
    codes = {fault.network: fault.code for fault in applied.faults}
    assert codes == dict.fromkeys(host_bits, errno.EINVAL) | {foreign: errno.EEXIST}
    del wanted[foreign]
    assert table.present() == wanted
    assert len(host.routes("2520")) == 22_000


def test_each_refused_message_is_found_by_its_number(host: Namespace) -> None:
    networks = list(many(3_500))
    again = {5, 999, 1_000, 2_345, 3_499}
    with contextlib.closing(Netlink()) as netlink:
        netlink.add_routes(BLACKHOLE, 2520, [networks[index] for index in sorted(again)])
        receipt = netlink.add_routes(BLACKHOLE, 2520, networks)
        assert receipt.complete
        assert receipt.errors == dict.fromkeys(again, errno.EEXIST)
        netlink.delete_routes(BLACKHOLE, 2520, networks[:10])
        receipt = netlink.delete_routes(BLACKHOLE, 2520, networks)
        assert receipt.errors == dict.fromkeys(range(10), errno.ESRCH)


def test_lost_answers_are_reported(host: Namespace) -> None:
    networks = list(many(1_000))
    with contextlib.closing(Netlink(receive_buffer=2048)) as netlink:
        netlink.add_routes(BLACKHOLE, 2520, networks)
        receipt = netlink.add_routes(BLACKHOLE, 2520, networks)
    assert not receipt.complete


def test_with_lost_answers_reconcile_still_brings_what_is_wanted(host: Namespace) -> None:
    good = many(3_000)
    bad = dict.fromkeys((Network(4, 0x0B000001 + (number << 8), 24) for number in range(500)), BLACKHOLE)
    with contextlib.closing(RoutingTable(receive_buffer=2048)) as table:
        applied = table.reconcile(bad | good)
        assert applied.added == 3_000
        assert {fault.network: fault.code for fault in applied.faults} == dict.fromkeys(bad, errno.EINVAL)
        assert table.present() == good


def test_a_reconcile_of_100_000_routes_writes_only_the_difference(
    host: Namespace, table: RoutingTable
) -> None:
    wanted = many(50_000) | many(50_000, version=6)
    assert table.reconcile(wanted) == Applied(added=100_000)
    gone = [*list(wanted)[10:13], list(wanted)[-1]]
    for network in gone:
        del wanted[network]
    wanted |= {FOUR: BLACKHOLE, Network.parse("2001:db9::/64"): BLACKHOLE}
    with contextlib.closing(RoutingTable()) as other, notifications() as changes:
        assert other.reconcile(wanted) == Applied(added=2, removed=4)
        assert changes() == 6
        assert other.reconcile(wanted) == Applied()
        assert changes() == 0
    assert table.present() == wanted


def test_a_table_that_changes_while_it_is_read_is_read_again(
    host: Namespace, table: RoutingTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.add(FOUR)
    real = Netlink._dump
    asked: list[int] = []

    def torn(self: Netlink, request: bytes, reading: object) -> Iterator[bytes]:
        asked.append(len(request))
        for datagram in real(self, request, reading):  # type: ignore[arg-type]
            spoilt = bytearray(datagram)
            if len(asked) == 1:
                spoilt[6] |= 0x10
            yield bytes(spoilt)

    with contextlib.closing(Netlink()) as netlink, monkeypatch.context() as patch:
        patch.setattr(Netlink, "_dump", torn)
        reading = netlink.routes(4, 2520, {6: BLACKHOLE})
    assert len(asked) == 2
    assert reading.routes == {FOUR: BLACKHOLE}
