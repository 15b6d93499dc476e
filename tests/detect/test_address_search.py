"""Lines that name an address of a network are found, in every common spelling and as whole words only."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.detect.address_search import AddressSearch
from sidecar.detect.prefilter import multipattern
from sidecar.detect.prefilter.multipattern import OneByOne
from sidecar.network import Network


@pytest.fixture(params=["hyperscan", "one by one"], autouse=True)
def each_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "one by one":
        monkeypatch.setattr(multipattern, "engine", OneByOne)


def found(text: str, *networks: str) -> list[tuple[str, list[str]]]:
    search = AddressSearch([Network.parse(one) for one in networks])
    return [(line.decode(), sorted(str(one) for one in named)) for line, named in search.lines(text.encode())]


@pytest.mark.parametrize(
    ("line", "network"),
    [
        ("connect from unknown[203.0.113.7]:40001", "203.0.113.7"),
        ("oip=203.0.113.7;ua=x", "203.0.113.7"),
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7: said so", "203.0.113.7"),
        ("it was 203.0.113.7.", "203.0.113.7"),
        ("via ::ffff:203.0.113.7", "203.0.113.7"),
        ("a 203.0.113.0/24 b", "203.0.113.0"),
        ("from 203.0.113.200", "203.0.113.0/24"),
        ("from 203.0.113.200", "203.0.113.128/25"),
        ("from 203.0.120.200", "203.0.112.0/20"),
        ("from 203.9.120.200", "203.0.0.0/8"),
        ("from 203.9.120.200", "200.0.0.0/5"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("2001:DB8::7 said", "2001:db8::7"),
        ("2001:0db8:0000:0000:0000:0000:0000:0007", "2001:db8::7"),
        ("2001:db8:0:0:0:0:0:7", "2001:db8::/32"),
        ("2001:db8::7: said so", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/10"),
        ("::1234 said", "::1234"),
        ("64:ff9b::cb00:7107", "64:ff9b::/96"),
    ],
)
def test_a_line_that_names_an_address_inside_is_found(line: str, network: str) -> None:
    assert found(f"other\n{line}\nother 10.0.0.1\n", network) == [(line, [str(Network.parse(network))])]


@pytest.mark.parametrize(
    "line",
    [
        "203.0.113.70",
        "1203.0.113.7",
        "1.203.0.113.7",
        "203.0.113.7.5",
        "203.0.113.7.example.com",
        "x203.0.113.7",
        "203.0.113.7x",
        "host.203.0.113.7",
        "203.0.113.1 and 203.0.113.8",
        "2001:db8::70",
        "2001:db8::7:1",
        "1:2001:db8::7",
        "2001:db8::7x",
        "x2001:db8::7",
        "2001:db8:::7",
        "12:00:00",
        "aa:bb:cc:dd:ee:ff",
        "",
    ],
)
def test_what_is_no_whole_address_of_them_is_not_found(line: str) -> None:
    assert found(f"{line}\n", "203.0.113.7", "2001:db8::7") == []


def test_a_line_is_found_once_for_all_networks_that_it_names() -> None:
    text = "one 203.0.113.7 203.0.113.7 2001:db8::7 198.51.100.7\r\nnone\ntwo 198.51.100.9"
    assert found(text, "203.0.113.7", "203.0.113.0/24", "2001:db8::/32", "198.51.100.9") == [
        (
            "one 203.0.113.7 203.0.113.7 2001:db8::7 198.51.100.7\r",
            ["2001:db8::/32", "203.0.113.0/24", "203.0.113.7/32"],
        ),
        ("two 198.51.100.9", ["198.51.100.9/32"]),
    ]


ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6) | st.builds(
    lambda low: ipaddress.IPv6Address((0x20010DB8 << 96) | low), st.integers(0, 1 << 18)
)  # fmt: skip
SPELLINGS = st.sampled_from(
    [str, lambda one: one.exploded, lambda one: str(one).upper(), lambda one: f"[{one}]:25"]
)


@settings(deadline=None)
@given(ADDRESSES, st.integers(0, 128), ADDRESSES, SPELLINGS, st.text(max_size=5), st.text(max_size=5))
def test_an_address_is_found_exactly_in_the_networks_around_it(
    network: ipaddress.IPv4Address,
    length: int,
    address: ipaddress.IPv4Address,
    spelled: object,
    before: str,
    behind: str,
) -> None:
    asked = Network.parse(str(network))
    asked = asked.supernet(min(length, asked.length))
    line = f"{before} {spelled(address)} {behind}".replace("\n", " ")  # type: ignore[operator]
    if getattr(address, "ipv4_mapped", None):
        # No server writes these with hexadecimal digits.
        return
    if any(c in "0123456789abcdefABCDEF:." for c in before + behind):
        return
    expected = [(line, [str(asked)])] if asked.covers(Network.parse(str(address))) else []
    assert found(line, str(asked)) == expected


def test_any_bytes_are_searched() -> None:
    search = AddressSearch([Network.parse("203.0.113.0/24"), Network.parse("::/3")])

    @settings(deadline=None)
    @given(st.binary(max_size=80))
    def holds(data: bytes) -> None:
        around = data + b"\n203.0.113.7\n" + data
        found = list(search.lines(around))
        assert all(line in around and networks for line, networks in found)
        assert b"203.0.113.7" in [line for line, _ in found]

    holds()
