"""Networks: parsing, ban units, sets and ranges."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.network import BITS, Network, Ranges


@pytest.mark.parametrize(
    "text", ["999.1.1.1", "01.2.3.4", "203.0.113.7/24", "host", "", "1.2.3", "fe80::1%eth0/64"]
)
def test_an_invalid_network_is_rejected(text: str) -> None:
    with pytest.raises(ValueError):
        Network.parse(text)


def test_an_ipv4_mapped_address_is_the_ipv4_address() -> None:
    assert Network.parse("::ffff:203.0.113.7") == Network.parse("203.0.113.7")


def test_an_ipv6_attacker_is_banned_by_64_and_an_ipv4_attacker_alone() -> None:
    assert str(Network.parse("2001:db8::7").unit()) == "2001:db8::/64"
    assert str(Network.parse("2001:db8::7").unit(ipv6_prefix=128)) == "2001:db8::7/128"
    assert str(Network.parse("203.0.113.7").unit()) == "203.0.113.7/32"


def test_with_nat64_each_address_is_a_separate_client() -> None:
    assert str(Network.parse("64:ff9b::c633:6401").unit()) == "64:ff9b::c633:6401/128"


@given(st.ip_addresses(), st.integers(0, 32))
def test_parsing_the_text_of_a_network_gives_the_same_network(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int
) -> None:
    network = Network.parse(str(address)).supernet(length)
    assert Network.parse(str(network)) == network
    assert network.covers(Network.parse(str(address)))
    assert network.packed == ipaddress.ip_network(str(network)).network_address.packed or network.version == 4


_PIECES = st.sampled_from([*"0123456789afFx:.%/ []", "::", "::ffff:", "1.2.3.4", "255", "٣", "\0", "\udc80"])


@given(st.lists(_PIECES, max_size=9).map("".join))
def test_an_address_is_accepted_exactly_if_the_standard_library_accepts_it(text: str) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        # Extensions: a prefix length, spaces or brackets around the address.
        if set(text).isdisjoint("/ []"):
            with pytest.raises(ValueError):
                Network.parse(text)
        return
    if "%" not in text:
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        assert Network.parse(text).address == str(mapped or address)


_NETWORKS = st.builds(
    lambda version, value, length: Network(version, value << (BITS[version] - 8), BITS[version]).supernet(
        length + BITS[version] - 8
    ),
    st.sampled_from([4, 6]),
    st.integers(0, 255),
    st.integers(0, 8),
)


@given(st.sets(_NETWORKS, max_size=12), _NETWORKS)
def test_ranges_touch_a_network_that_covers_or_is_inside_a_member(
    members: set[Network], asked: Network
) -> None:
    meet = any(member.covers(asked) or asked.covers(member) for member in members)
    assert Ranges(members).touch(asked) == meet


def test_a_mapped_ipv4_network_is_read_by_both_alike() -> None:
    for text, expected in (("::ffff:10.0.0.0/120", "10.0.0.0/24"), ("::ffff:10.0.0.1/128", "10.0.0.1/32")):
        assert str(Network.parse(text)) == str(Network.around(text)) == expected
    for read in (Network.parse, Network.around):
        with pytest.raises(ValueError):
            read("::ffff:10.0.0.0/24")
