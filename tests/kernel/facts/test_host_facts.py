"""The never-ban list knows the host's own addresses, next hops, neighbours, bridges and resolvers."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvloop

from sidecar.kernel.backend import Entry
from sidecar.kernel.facts.host_facts import host_facts, resolvers, same_network_namespace_as_host
from sidecar.kernel.route.routing_table import RoutingTable
from sidecar.network import Network
from tests.kernel.entries import put

if TYPE_CHECKING:
    from tests.netns import Namespace

pytestmark = pytest.mark.kernel


def nets(*texts: str) -> set[Network]:
    return {Network.parse(text) for text in texts}


def test_facts_of_a_host_with_every_kind_of_next_hop(host: Namespace) -> None:
    host.wire("mail0", "198.51.100.1/24", "2001:db8:f::1/64")
    host.ip("link", "add", "zimbra", "up", "type", "bridge")
    host.address("zimbra", "10.20.0.1/16")
    host.wire("ppp9", "10.30.0.1 peer 10.30.0.2")
    for words in (
        ("route", "add", "default", "via", "198.51.100.254"),
        ("-6", "route", "add", "default", "via", "2001:db8:f::fe"),
        ("route", "add", "10.40.0.0/16", "nexthop", "via", "198.51.100.21", "nexthop", "via",
         "198.51.100.22"),
        ("-6", "route", "add", "2001:db8:4::/48", "nexthop", "via", "2001:db8:f::21", "nexthop", "via",
         "2001:db8:f::22"),
        ("nexthop", "add", "id", "7", "via", "198.51.100.31", "dev", "mail0"),
        ("route", "add", "10.41.0.0/16", "nhid", "7"),
        ("route", "add", "10.42.0.0/16", "via", "inet6", "2001:db8:f::41", "dev", "mail0"),
        ("route", "add", "10.43.0.0/16", "via", "198.51.100.51", "table", "900"),
        ("route", "add", "0.0.0.0/1", "dev", "ppp9", "table", "901"),
    ):  # fmt: skip
        host.ip(*words)
    with contextlib.closing(RoutingTable()) as table:
        table.add(Network.parse("203.0.113.7"))
        facts = host_facts(resolver_files=())
    assert nets("127.0.0.0/8", "::1", "198.51.100.1", "2001:db8:f::1", "10.20.0.1", "10.30.0.1") <= {
        *facts.own
    }
    assert set(facts.gateways) == nets(
        "198.51.100.254", "2001:db8:f::fe", "198.51.100.21", "198.51.100.22", "2001:db8:f::21",
        "2001:db8:f::22", "198.51.100.31", "2001:db8:f::41", "198.51.100.51", "10.30.0.2",
    )  # fmt: skip
    assert set(facts.connected) - nets("fe80::/64") == nets(
        "198.51.100.0/24", "2001:db8:f::/64", "10.20.0.0/16", "10.30.0.2"
    )
    assert facts.resolvers == ()


def test_a_nexthop_object_is_found_where_routes_no_longer_repeat_it(host: Namespace) -> None:
    host.wire("mail0", "198.51.100.1/24")
    Path("/proc/sys/net/ipv4/nexthop_compat_mode").write_text("0")
    host.ip("nexthop", "add", "id", "7", "via", "198.51.100.31", "dev", "mail0")
    host.ip("route", "add", "10.41.0.0/16", "nhid", "7")
    assert host_facts(resolver_files=()).gateways == (Network.parse("198.51.100.31"),)


def test_an_empty_namespace_has_loopback_only(host: Namespace) -> None:
    facts = host_facts(resolver_files=())
    assert {*facts.own} == nets("127.0.0.0/8", "::1", "127.0.0.1")
    assert not facts.gateways
    assert not facts.connected


def test_facts_are_found_in_a_thread_of_a_service_that_runs_on_uvloop(host: Namespace) -> None:
    host.wire("mail0", "198.51.100.1/24")
    expected = host_facts(resolver_files=())
    policy = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:
        assert asyncio.run(asyncio.to_thread(host_facts, ())) == expected
    finally:
        asyncio.set_event_loop_policy(policy)


def test_bans_are_no_facts(host: Namespace) -> None:
    bans = {Network(4, 0x0A000000 + number, 32): Entry.BAN for number in range(5_000)}
    with contextlib.closing(RoutingTable()) as table:
        before = host_facts(resolver_files=())
        put(table, bans)
        assert host_facts(resolver_files=()) == before


def test_resolvers_are_read_from_both_files(tmp_path: Path) -> None:
    stub, real = tmp_path / "resolv.conf", tmp_path / "upstream.conf"
    stub.write_text("# by hand\nnameserver 127.0.0.53\noptions edns0\nsearch example.com\nnameserver\n")
    real.write_text("nameserver 198.51.100.53 # first\nnameserver fe80::1%mail0\nnameserver wrong\n")
    found = resolvers([stub, real, tmp_path / "missing"])
    assert set(found) == nets("127.0.0.53", "198.51.100.53", "fe80::1")


def test_a_namespace_of_its_own_is_not_taken_for_the_hosts(host: Namespace) -> None:
    assert same_network_namespace_as_host() is not True


def test_the_namespace_is_unknown_where_proc_says_nothing(tmp_path: Path) -> None:
    assert same_network_namespace_as_host(tmp_path) is None
    sign = tmp_path / "sys/net/core/netdev_max_backlog"
    sign.parent.mkdir(parents=True)
    sign.touch()
    assert same_network_namespace_as_host(tmp_path) is True
