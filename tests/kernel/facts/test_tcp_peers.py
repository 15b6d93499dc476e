"""Who is connected to a port, as the kernel tells it."""

from __future__ import annotations

import socket

import pytest

from sidecar.kernel.facts.tcp_peers import peers
from sidecar.network import Network
from tests.kernel.conftest import NEAR4, NEIGHBOUR6, PORT, SERVER4, SERVER6, Street

pytestmark = pytest.mark.kernel


def connected(street: Street, source: str, port: int = PORT) -> socket.socket:
    six = ":" in source
    with street.attacker.inside():
        client = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
        client.bind((source, 0))
        client.connect((SERVER6 if six else SERVER4, port))
        return client


def test_the_far_ends_of_connections_are_told_while_they_stand(street: Street) -> None:
    with connected(street, NEAR4), connected(street, NEIGHBOUR6), connected(street, NEAR4):
        found = peers([PORT])
        near, neighbour = Network.parse(NEAR4), Network.parse(NEIGHBOUR6)
        assert sorted(found.values()) == [near, near, neighbour]
        # The same connection has the same name the next time.
        assert peers([PORT, 22]) == found
        assert peers([22]) == {}
    assert peers([PORT]) == {}


def test_a_client_that_comes_over_ipv6_with_an_ipv4_address_is_that_address(street: Street) -> None:
    with socket.socket(socket.AF_INET6) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::", 2222))
        server.listen()
        with connected(street, NEAR4, 2222):
            assert list(peers([2222]).values()) == [Network.parse(NEAR4)]
