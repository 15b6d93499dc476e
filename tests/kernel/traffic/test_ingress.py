"""What the banned send is dropped on its way in, by rp_filter or by one rule, and nobody else's is."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.kernel.backend import Entry, Way
from sidecar.kernel.route.ingress import Ingress
from sidecar.kernel.route.routing_table import RoutingTable
from sidecar.network import Network
from tests.kernel.conftest import BANNED6, FAR4, LINK6, NEAR4, NEIGHBOUR6, PORT, SERVER4, SERVER6, Street
from tests.kernel.entries import put
from tests.netns import Namespace, program, run

pytestmark = pytest.mark.kernel


def ruleset() -> str:
    return run(program("nft", "nftables"), "list", "ruleset")


def reverse_path_filter(name: str, value: int) -> None:
    for place in ("all", name):
        Path(f"/proc/sys/net/ipv4/conf/{place}/rp_filter").write_text(str(value))


@pytest.fixture
def way_out(host: Namespace, street: Street) -> Iterator[None]:
    """The host's default routes lead to the attackers' machine, and nothing filters by itself."""
    host.ip("route", "add", "default", "via", NEAR4)
    host.ip("-6", "route", "add", "default", "via", LINK6)
    reverse_path_filter("mail0", 0)
    try:
        yield
    finally:
        Ingress("off").remove()


def reaches(street: Street, source: str) -> bool:
    """Whether a datagram from this address is delivered to a program on the host."""
    six = ":" in source
    family, server = (socket.AF_INET6, SERVER6) if six else (socket.AF_INET, SERVER4)
    with socket.socket(family, socket.SOCK_DGRAM) as server_socket:
        server_socket.bind((server, PORT))
        server_socket.settimeout(0.5)
        with street.attacker.inside(), socket.socket(family, socket.SOCK_DGRAM) as client:
            client.bind((source, 0))
            client.sendto(b"x", (server, PORT))
        try:
            return server_socket.recv(9) == b"x"
        except TimeoutError:
            return False


@contextlib.contextmanager
def banned() -> Iterator[None]:
    with contextlib.closing(RoutingTable()) as table:
        table.ensure_rules()
        put(table, {Network.parse(a).unit(): Entry.BAN for a in (FAR4, BANNED6)})
        yield


@pytest.mark.usefixtures("way_out")
def test_without_the_rule_a_banned_datagram_arrives_and_with_it_none_does(street: Street) -> None:
    ingress = Ingress("auto")
    with banned():
        assert [reaches(street, who) for who in (FAR4, BANNED6, NEAR4, NEIGHBOUR6)] == [True] * 4
        ingress.ensure()
        assert {way.how for way in ingress.ways} == {"rule"}
        assert [reaches(street, who) for who in (FAR4, BANNED6)] == [False, False]
        assert [reaches(street, who) for who in (NEAR4, NEIGHBOUR6)] == [True, True]
        assert ingress.dropped() == 2
        assert ingress.dropped() == 0


@pytest.mark.usefixtures("way_out")
@pytest.mark.parametrize("value", [1, 2])
def test_where_rp_filter_drops_no_rule_is_written_unless_asked_for(value: int) -> None:
    reverse_path_filter("mail0", value)
    ingress = Ingress("auto")
    ingress.ensure()
    assert ingress.ways == (Way("mail0", 4, "rp_filter"), Way("mail0", 6, "rule"))
    always = Ingress("on")
    always.ensure()
    assert {way.how for way in always.ways} == {"rule"}
    never = Ingress("off")
    never.ensure()
    assert never.ways == (Way("mail0", 4, "rp_filter"), Way("mail0", 6, "reply"))
    assert "zmban" not in ruleset()


@pytest.mark.usefixtures("way_out")
def test_the_rule_of_a_family_goes_with_its_default_route(host: Namespace) -> None:
    ingress = Ingress("auto")
    ingress.ensure()
    assert 'iif "mail0" ip saddr' in ruleset() and 'iif "mail0" ip6 saddr' in ruleset()
    host.ip("route", "del", "default")
    ingress.ensure()
    assert "ip saddr" not in ruleset() and "ip6 saddr" in ruleset()
    host.ip("-6", "route", "del", "default")
    ingress.ensure()
    assert "zmban" not in ruleset()


@pytest.mark.usefixtures("way_out")
def test_a_default_route_for_marked_packets_alone_writes_no_rule(host: Namespace) -> None:
    for family, via in (("-4", NEAR4), ("-6", LINK6)):
        host.ip(family, "route", "del", "default")
        host.ip(family, "route", "add", "default", "via", via, "table", "77")
        host.ip(family, "rule", "add", "fwmark", "7", "lookup", "77")
    ingress = Ingress("on")
    ingress.ensure()
    assert ingress.ways == ()
    assert "zmban" not in ruleset()


@pytest.mark.usefixtures("way_out")
def test_a_rule_that_somebody_removes_is_missed_and_the_tables_of_others_are_left_alone() -> None:
    ingress = Ingress("auto")
    assert ingress.ensure() == 0
    nft = program("nft", "nftables")
    run(nft, "flush", "ruleset")
    run(nft, "add", "table", "inet", "theirs")
    assert ingress.ensure() == 2
    assert ingress.ensure() == 0
    assert ruleset().count("table inet") == 2
    ingress.remove()
    assert ruleset().split() == ["table", "inet", "theirs", "{", "}"]


@pytest.mark.usefixtures("way_out")
def test_several_next_hops_are_each_kept(host: Namespace) -> None:
    host.wire("second0", "203.0.113.1/24")
    host.ip("route", "replace", "default", "nexthop", "via", NEAR4, "nexthop", "via", "203.0.113.2")
    ingress = Ingress("on")
    ingress.ensure()
    assert {way.interface for way in ingress.ways if way.version == 4} == {"mail0", "second0"}
