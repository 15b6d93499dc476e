"""What others change is heard, and what we change is not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from sidecar.kernel.backend import Entry, Heard
from sidecar.kernel.netlink.listener import Listener
from sidecar.kernel.route.routing_table import RoutingTable
from sidecar.network import Network
from tests.kernel.entries import put
from tests.netns import Namespace

pytestmark = pytest.mark.kernel
EVIL, EVIL6 = Network.parse("198.51.100.7"), Network.parse("2001:db8:7::/64")


@pytest.fixture
def table(host: Namespace) -> Iterator[RoutingTable]:
    with contextlib.closing(RoutingTable()) as made:
        yield made


@pytest.fixture
def listener(table: RoutingTable) -> Iterator[Listener]:
    with contextlib.closing(Listener([table.port], table.table)) as made:
        yield made


def test_our_own_changes_are_not_heard(listener: Listener, table: RoutingTable) -> None:
    table.ensure_rules()
    table.add(EVIL)
    put(table, {EVIL: Entry.EXEMPT, EVIL6: Entry.BAN})
    table.flush()
    assert listener.read() == Heard()


def test_a_route_of_ours_that_somebody_removes_or_writes_is_heard(
    host: Namespace, listener: Listener, table: RoutingTable
) -> None:
    put(table, {EVIL: Entry.BAN, EVIL6: Entry.BAN})
    host.ip("route", "del", "blackhole", str(EVIL), "table", "2520")
    assert listener.read() == Heard({EVIL: None})
    host.ip("-6", "route", "del", "blackhole", str(EVIL6), "table", "2520")
    host.ip("route", "add", "throw", str(EVIL), "table", "2520", "proto", "222")
    assert listener.read() == Heard({EVIL6: None, EVIL: Entry.EXEMPT})
    assert listener.read() == Heard()


def test_routes_of_others_are_none_of_ours(host: Namespace, listener: Listener) -> None:
    host.ip("route", "add", "blackhole", str(EVIL), "table", "2520", "proto", "99")
    host.ip("route", "add", "blackhole", str(EVIL), "table", "2521", "proto", "222")
    host.ip("route", "add", "unreachable", "198.51.100.8", "table", "2520", "proto", "222")
    assert listener.read() == Heard()


def test_rules_addresses_and_the_way_out_are_heard(host: Namespace, listener: Listener) -> None:
    host.ip("rule", "add", "pref", "99", "table", "main")
    assert listener.read() == Heard(attachment=True)
    host.wire("mail0", "10.77.0.5/24")
    assert listener.read() == Heard(around=True)
    host.ip("route", "add", "default", "via", "10.77.0.1")
    assert listener.read() == Heard(around=True)
    host.ip("addr", "del", "10.77.0.5/24", "dev", "mail0")
    assert listener.read().around


def test_more_announcements_than_fit_are_not_missed_in_silence(
    listener: Listener, host: Namespace, table: RoutingTable
) -> None:
    with contextlib.closing(RoutingTable()) as somebody:
        put(somebody, {Network(4, 0x0A000000 + n, 32): Entry.BAN for n in range(60_000)})
    assert listener.read().lost
