"""The rule on the way in harms nobody: guests on a bridge, newcomers that have no address yet, multicast."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

import pytest

from sidecar.kernel.backend import Entry
from sidecar.kernel.route.ingress import Ingress
from sidecar.kernel.route.routing_table import RoutingTable
from sidecar.network import Network
from tests.app.running import until
from tests.kernel.entries import put
from tests.netns import Namespace

pytestmark = pytest.mark.kernel

HOST4, ROUTER4, GUEST4, BANNED4 = "198.51.100.1", "198.51.100.66", "198.51.100.77", "203.0.113.67"
HOST6, ROUTER6, GUEST6, BANNED6 = "2001:db8:f::1", "2001:db8:f::66", "2001:db8:f::77", "2001:db8:66::7"
PORT, DHCP_SERVER, DHCP_CLIENT = 2520, 67, 68
MULTICAST_ROUTERS, REPORT = "ff02::16", 143


class Hypervisor:
    """A host whose uplink is a bridge, with a router and a guest on it."""

    def __init__(self, host: Namespace, router: Namespace, guest: Namespace) -> None:
        self.host, self.router, self.guest = host, router, guest
        host.ip("link", "add", "br0", "type", "bridge")
        host.ip("link", "set", "br0", "up")
        for number, at in enumerate((router, guest)):
            port = f"port{number}"
            host.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", at.name)
            host.ip("link", "set", port, "master", "br0", "up")
            at.ip("link", "set", "eth0", "up")
        host.address("br0", f"{HOST4}/24", f"{HOST6}/64")
        router.address("eth0", f"{ROUTER4}/24", f"{ROUTER6}/64", f"{BANNED4}/32", f"{BANNED6}/128")
        guest.address("eth0", f"{GUEST4}/24", f"{GUEST6}/64")
        host.ip("route", "add", "default", "via", ROUTER4)
        host.ip("-6", "route", "add", "default", "via", ROUTER6)


@pytest.fixture
def hypervisor(host: Namespace) -> Iterator[Hypervisor]:
    """One with the banned refused, and the rule of each family on its bridge."""
    with contextlib.ExitStack() as stack:
        others = Namespace(), Namespace()
        for other in others:
            stack.callback(other.remove)
        built = Hypervisor(host, *others)
        table = stack.enter_context(contextlib.closing(RoutingTable()))
        table.ensure_rules()
        put(table, {Network.parse(a).unit(): Entry.BAN for a in (BANNED4, BANNED6)})
        ingress = Ingress("on")
        stack.callback(ingress.remove)
        ingress.ensure()
        assert {(way.interface, way.version, way.how) for way in ingress.ways} == {
            ("br0", 4, "rule"), ("br0", 6, "rule"),
        }  # fmt: skip
        yield built


def delivered(at: Namespace, address: str, sender: Namespace, source: str) -> bool:
    """Whether a datagram from this source comes to a program at that address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with at.inside():
        server = socket.socket(family, socket.SOCK_DGRAM)
    with sender.inside():
        client = socket.socket(family, socket.SOCK_DGRAM)
    with server, client:
        server.bind((address, PORT))
        server.settimeout(0.5)
        client.bind((source, 0))
        client.sendto(b"x", (address, PORT))
        with contextlib.suppress(TimeoutError):
            return server.recv(9) == b"x"
    return False


def test_frames_from_one_port_of_a_bridge_to_another_are_none_of_its_business(hypervisor: Hypervisor) -> None:
    router, guest = hypervisor.router, hypervisor.guest
    assert [
        delivered(hypervisor.host, at, router, who) for at, who in ((HOST4, BANNED4), (HOST6, BANNED6))
    ] == [
        False,
        False,
    ]
    assert delivered(guest, GUEST4, router, BANNED4)
    assert delivered(guest, GUEST6, router, BANNED6)
    router.address("eth0", f"{HOST4}/32")
    assert delivered(guest, GUEST4, router, HOST4)


def test_a_guest_that_wants_the_hosts_own_address_is_told_that_it_is_taken(hypervisor: Hypervisor) -> None:
    hypervisor.guest.ip("addr", "add", f"{HOST6}/64", "dev", "eth0")
    until(lambda: HOST6 in hypervisor.guest.ip("-6", "addr", "show", "dadfailed"))


def test_the_host_learns_that_an_address_it_wants_is_taken(hypervisor: Hypervisor) -> None:
    hypervisor.host.ip("addr", "add", f"{GUEST6}/64", "dev", "br0")
    until(lambda: GUEST6 in hypervisor.host.ip("-6", "addr", "show", "dadfailed"))


def test_who_has_no_address_yet_finds_the_dhcp_server(hypervisor: Hypervisor) -> None:
    hypervisor.guest.ip("-4", "addr", "flush", "dev", "eth0")
    with hypervisor.guest.inside():
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        for one, port in ((server, DHCP_SERVER), (client, DHCP_CLIENT)):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            one.settimeout(5)
            one.bind(("", port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"br0")
        client.sendto(b"discover", ("255.255.255.255", DHCP_SERVER))
        assert server.recvfrom(99) == (b"discover", ("0.0.0.0", DHCP_CLIENT))
        server.sendto(b"offer", ("255.255.255.255", DHCP_CLIENT))
        assert client.recvfrom(99) == (b"offer", (HOST4, DHCP_SERVER))


def test_multicast_listeners_are_heard(hypervisor: Hypervisor) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as router:
        router.settimeout(5)
        index = socket.if_nametoindex("br0")
        joined = socket.inet_pton(socket.AF_INET6, MULTICAST_ROUTERS) + struct.pack("@I", index)
        router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, joined)
        with hypervisor.guest.inside():
            listener = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            theirs = socket.if_nametoindex("eth0")
        with listener:
            group = socket.inet_pton(socket.AF_INET6, "ff02::abcd")
            listener.setsockopt(
                socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + struct.pack("@I", theirs)
            )
            until(lambda: _reports(router.recv(2048), group))


def _reports(message: bytes, group: bytes) -> bool:
    """Whether this is a report that somebody listens to the group."""
    return message[0] == REPORT and group in message
