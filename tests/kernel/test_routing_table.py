"""The routing table says what is wanted, at any size and after any fault, and nothing foreign is touched."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from sidecar.kernel.backend import Entry
from sidecar.kernel.netlink.connection import Netlink
from sidecar.kernel.route.routing_table import RoutingTable
from sidecar.model import KernelError
from sidecar.network import Network
from tests.kernel.conftest import notifications
from tests.kernel.entries import put, reconcile, standing

if TYPE_CHECKING:
    from tests.netns import Namespace

pytestmark = pytest.mark.kernel

BAN, EXEMPT = Entry.BAN, Entry.EXEMPT
FOUR, SIX = Network.parse("203.0.113.7"), Network.parse("2001:db8:1::/64")


@pytest.fixture
def table(host: Namespace) -> Iterator[RoutingTable]:
    with contextlib.closing(RoutingTable()) as made:
        yield made


def many(count: int, version: int = 4) -> dict[Network, Entry]:
    """Blackholes for `count` neighbouring addresses of 10/8, or /64s of 2001:db8::/32."""
    if version == 4:
        return {Network(4, 0x0A000000 + number, 32): BAN for number in range(count)}
    return {Network(6, (0x20010DB8 << 96) + (number << 64), 64): BAN for number in range(count)}


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


def test_a_flush_deletes_the_known_bans_and_all_others_and_nothing_foreign(
    host: Namespace, table: RoutingTable
) -> None:
    before = add_foreign(host, "2520")
    put(table, {**many(2500), **many(20, 6), FOUR: EXEMPT})
    # One is not there, and two are routes of others.
    others = (Network.parse("198.51.100.1"), Network.parse("2001:db8:a::/64"))
    known = [*many(2000), *many(5, 6), SIX, *others]
    assert table.flush(known) == 2521
    assert host.routes("2520") == before


def test_foreign_routes_in_the_same_table_outlive_reconcile_and_flush(
    host: Namespace, table: RoutingTable
) -> None:
    before = add_foreign(host, "2520")
    host.ip("rule", "add", "pref", "251", "table", "2520")
    assert table.present() == {}
    put(table, {FOUR: BAN, SIX: BAN})
    table.ensure_rules()
    assert table.flush() == 2
    assert host.routes("2520") == before
    assert [rule["priority"] for rule in host.json("rule")] == [0, 251, 32766, 32767]


def test_a_foreign_route_on_the_same_prefix_is_a_fault_and_stays(
    host: Namespace, table: RoutingTable
) -> None:
    before = add_foreign(host, "2520")
    taken = [Network.parse("198.51.100.1"), Network.parse("198.51.100.3"), Network.parse("2001:db8:a::/64")]
    made = reconcile(table, dict.fromkeys([*taken, FOUR], BAN))
    assert made.written == 2
    assert {(fault.network, fault.code) for fault in made.faults} == {(one, errno.EEXIST) for one in taken}
    told = "blackhole 198.51.100.1/32: a route that is not zmban's stands on this prefix"
    assert told in map(str, made.faults) and all("not zmban's" in str(fault) for fault in made.faults)
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
        assert not table.can_exempt
        assert table.ensure_rules() == () and table.rules_missing() == ()
        made = reconcile(table, {wide: BAN, kept: EXEMPT, FOUR: BAN})
        assert made.written == 2
        assert [(fault.network, fault.code) for fault in made.faults] == [(wide, 0)]
        assert "blackhole 10.0.0.0/8: it covers a protected network" in str(made.faults[0])
        table.add(Network.parse("10.2.0.0/16"))
        assert standing(table) == {FOUR: BAN, Network.parse("10.2.0.0/16"): BAN}
        assert table.flush() == 3
    assert host.routes("main") == before


@pytest.mark.parametrize("version", [4, 6])
def test_several_routes_of_ours_on_one_prefix_become_one(
    host: Namespace, table: RoutingTable, version: int
) -> None:
    network = FOUR if version == 4 else SIX
    for metric, kind in ((3, "blackhole"), (9, "throw"), (7, "blackhole")):
        words = (f"-{version}", "route", "add", kind, str(network), "proto", "222", "table", "2520")
        host.ip(*words, "metric", str(metric))
    # A dump may list a route twice by mistake: only the second reconcile believes it.
    assert reconcile(table, {network: BAN}, times=2).faults == ()
    assert standing(table) == {network: BAN}
    assert len(host.routes("2520")) == 2


def test_a_rule_of_an_earlier_preference_is_replaced(host: Namespace, table: RoutingTable) -> None:
    table.ensure_rules()
    with contextlib.closing(RoutingTable(preference=99)) as moved:
        assert moved.ensure_rules() == (4, 6)
        assert moved.rules_missing() == ()
    assert [rule["priority"] for rule in host.json("-6", "rule")] == [0, 99, 32766]
    assert table.rules_missing() == (4, 6)


def test_a_bulk_with_routes_standing_and_faults_in_its_midst(host: Namespace, table: RoutingTable) -> None:
    wanted = many(22_000)
    ordered = list(wanted)
    host_bits = [Network(4, 0x0B000001 + (number << 8), 24) for number in range(700)]
    mixed = dict.fromkeys([*ordered[:11_500], *host_bits, *ordered[11_500:]], BAN)
    put(table, dict.fromkeys(ordered[9_000:12_000], BAN))
    foreign = ordered[15_000]
    host.ip("route", "add", "blackhole", str(foreign), "table", "2520", "proto", "static")
    made = reconcile(table, mixed)
    assert made.written == 22_000 - 3_000 - 1 + 1
    codes = {fault.network: fault.code for fault in made.faults}
    assert codes == dict.fromkeys(host_bits, errno.EINVAL) | {foreign: errno.EEXIST}
    del wanted[foreign]
    assert standing(table) == wanted
    assert len(host.routes("2520")) == 22_001


def test_each_refused_message_is_found_by_its_number(host: Namespace) -> None:
    networks = list(many(3_500))
    again = {5, 999, 1_000, 2_345, 3_499}
    with contextlib.closing(Netlink()) as netlink:
        netlink.add_routes(BAN, 2520, [networks[index] for index in sorted(again)])
        receipt = netlink.add_routes(BAN, 2520, networks)
        assert receipt.complete
        assert receipt.errors == dict.fromkeys(again, errno.EEXIST)
        netlink.delete_routes(BAN, 2520, networks[:10])
        receipt = netlink.delete_routes(BAN, 2520, networks)
        assert receipt.errors == dict.fromkeys(range(10), errno.ESRCH)


def test_lost_answers_are_reported(host: Namespace) -> None:
    networks = list(many(1_000))
    with contextlib.closing(Netlink(receive_buffer=2048)) as netlink:
        netlink.add_routes(BAN, 2520, networks)
        receipt = netlink.add_routes(BAN, 2520, networks)
    assert not receipt.complete


def test_with_lost_answers_reconcile_still_brings_what_is_wanted(host: Namespace) -> None:
    good = many(3_000)
    bad = dict.fromkeys((Network(4, 0x0B000001 + (number << 8), 24) for number in range(500)), BAN)
    with contextlib.closing(RoutingTable(receive_buffer=2048)) as table:
        made = reconcile(table, bad | good)
        assert {fault.network: fault.code for fault in made.faults} == dict.fromkeys(bad, errno.EINVAL)
        assert standing(table) == good


def test_a_reconcile_of_100_000_routes_writes_only_the_difference(
    host: Namespace, table: RoutingTable
) -> None:
    wanted = many(50_000) | many(50_000, version=6)
    assert reconcile(table, wanted).written == 100_001
    gone = [*list(wanted)[10:13], list(wanted)[-1]]
    for network in gone:
        del wanted[network]
    wanted |= {FOUR: BAN, Network.parse("2001:db9::/64"): BAN}
    with contextlib.closing(RoutingTable()) as other, notifications() as changes:
        assert reconcile(other, wanted).written == 6
        assert changes() == 6
        assert reconcile(other, wanted).written == 0
        assert changes() == 0
    assert standing(table) == wanted


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
        reading = netlink.routes(4, 2520, {6: BAN})
    assert len(asked) == 2
    assert reading.entries == {FOUR: BAN}
