"""A banned address completes no handshake, its neighbour does, and the kernel's lookup says the same."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from sidecar.kernel.backend import Entry
from sidecar.kernel.netlink.connection import Netlink
from sidecar.kernel.route.routing_table import RoutingTable
from sidecar.network import Network
from tests.kernel.conftest import BANNED6, FAR4, NEAR4, NEIGHBOUR6, SERVER4, WIDE_BANNED4, WIDE_KEPT4
from tests.kernel.entries import put

if TYPE_CHECKING:
    from tests.kernel.conftest import Street

pytestmark = pytest.mark.kernel

BAN, EXEMPT = Entry.BAN, Entry.EXEMPT


@pytest.fixture
def table(street: Street) -> Iterator[RoutingTable]:
    with contextlib.closing(RoutingTable()) as made:
        made.ensure_rules()
        yield made


def test_everybody_connects_before_the_ban(street: Street, table: RoutingTable) -> None:
    assert all(map(street.connects, (NEAR4, FAR4, WIDE_BANNED4, WIDE_KEPT4, BANNED6, NEIGHBOUR6)))


def test_a_banned_address_is_refused_and_its_neighbour_is_not(street: Street, table: RoutingTable) -> None:
    table.add(Network.parse(FAR4).unit())
    assert street.refuses(FAR4)
    assert street.connects(NEAR4)
    table.remove(Network.parse(FAR4).unit())
    assert street.connects(FAR4)


def test_a_banned_ipv6_prefix_is_refused_and_the_next_is_not(street: Street, table: RoutingTable) -> None:
    put(table, {Network.parse(BANNED6).unit(): BAN})
    assert street.refuses(BANNED6)
    assert street.connects(NEIGHBOUR6)


def test_a_throw_keeps_one_address_reachable_under_a_banned_network(
    street: Street, table: RoutingTable
) -> None:
    put(table, {Network.parse("10.0.0.0/8"): BAN, Network.parse(WIDE_KEPT4): EXEMPT})
    assert street.refuses(WIDE_BANNED4)
    assert street.connects(WIDE_KEPT4)


def test_a_ban_of_an_own_address_reaches_nobody(street: Street, table: RoutingTable) -> None:
    table.add(Network.parse(SERVER4))
    assert street.connects(NEAR4)


def test_a_flush_lifts_every_ban(street: Street, table: RoutingTable) -> None:
    put(table, {Network.parse(FAR4).unit(): BAN, Network.parse(BANNED6).unit(): BAN})
    table.flush()
    assert street.connects(FAR4)
    assert street.connects(BANNED6)


def test_in_table_main_a_ban_is_refused_too(street: Street) -> None:
    with contextlib.closing(RoutingTable("main")) as table:
        # The /64 itself carries the host's own route there, which main would not give up: a longer prefix.
        put(table, {Network.parse(FAR4).unit(): BAN, Network.parse(BANNED6): BAN})
        assert street.refuses(FAR4)
        assert street.refuses(BANNED6)
        assert street.connects(NEAR4)
        assert street.connects(NEIGHBOUR6)


def test_a_lookup_tells_banned_from_reachable(street: Street, table: RoutingTable) -> None:
    put(table, {Network.parse(FAR4).unit(): BAN, Network.parse(BANNED6).unit(): BAN})
    with contextlib.closing(Netlink()) as netlink:
        answers = {
            address: netlink.lookup(Network.parse(address)) == 0
            for address in (NEAR4, FAR4, BANNED6, NEIGHBOUR6, "203.0.113.1")
        }
    assert answers == {NEAR4: True, FAR4: False, BANNED6: False, NEIGHBOUR6: True, "203.0.113.1": False}
