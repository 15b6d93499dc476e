"""Networks, the one value that everything else is about."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.model import Network


@pytest.mark.parametrize(
    "text", ["999.1.1.1", "01.2.3.4", "203.0.113.7/24", "host", "", "1.2.3", "fe80::1%eth0/64"]
)
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Network.parse(text)


def test_an_ipv4_mapped_address_is_the_ipv4_address() -> None:
    assert Network.parse("::ffff:203.0.113.7") == Network.parse("203.0.113.7")


def test_an_ipv6_attacker_is_banned_by_64_and_an_ipv4_attacker_alone() -> None:
    assert str(Network.unit("2001:db8::7")) == "2001:db8::/64"
    assert str(Network.unit("2001:db8::7", ipv6_prefix=128)) == "2001:db8::7/128"
    assert str(Network.unit("203.0.113.7")) == "203.0.113.7/32"


def test_behind_a_translator_each_address_is_a_client_of_its_own() -> None:
    assert str(Network.unit("64:ff9b::c633:6401")) == "64:ff9b::c633:6401/128"


@given(st.ip_addresses(), st.integers(0, 32))
def test_a_network_reads_as_it_is_written(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int
) -> None:
    network = Network.parse(str(address)).supernet(length)
    assert Network.parse(str(network)) == network
    assert network.covers(Network.parse(str(address)))
    assert network.packed == ipaddress.ip_network(str(network)).network_address.packed or network.version == 4
