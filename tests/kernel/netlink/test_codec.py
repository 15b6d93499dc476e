"""What is packed is what the kernel and `ip` understand, and what is read is what was packed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.kernel.backend import Entry
from sidecar.kernel.netlink import codec
from sidecar.kernel.netlink.codec import ENTRIES, TYPE_NAMES, Rule
from sidecar.kernel.netlink.connection import Netlink
from sidecar.kernel.netlink.route_dump import RouteDump
from sidecar.kernel.route.routing_table import RoutingTable
from sidecar.network import BITS, Network
from tests.kernel.entries import put

if TYPE_CHECKING:
    from tests.netns import Namespace

BAN, EXEMPT = Entry.BAN, Entry.EXEMPT
ROUTES = {
    Network.parse("203.0.113.7"): BAN,
    Network.parse("198.51.100.0/24"): BAN,
    Network.parse("198.51.100.9"): EXEMPT,
    Network.parse("2001:db8:1::/64"): BAN,
    Network.parse("2001:db8:2::1"): EXEMPT,
}


@st.composite
def networks(draw: st.DrawFn) -> Network:
    version = draw(st.sampled_from((4, 6)))
    bits = BITS[version]
    length = draw(st.integers(1, bits))
    return Network(version, draw(st.integers(0, (1 << length) - 1)) << (bits - length), length)


def read(data: bytes, table: int, protocol: int) -> RouteDump:
    reading = RouteDump(table, protocol, ENTRIES, 7)
    reading.feed(data)
    return reading


def packed(networks: Sequence[Network], kind: Entry, table: int, protocol: int) -> bytes:
    """Additions that all carry sequence number 7, as the answers of one dump do."""
    return b"".join(
        codec.encode_routes(codec.RTM_NEWROUTE, kind, table, protocol, [network], 7) for network in networks
    )


@given(
    wanted=st.sets(networks(), max_size=30),
    kind=st.sampled_from(Entry),
    table=st.integers(1, (1 << 32) - 1),
    protocol=st.integers(0, 255),
)
def test_a_packed_route_is_read_back_as_it_was(
    wanted: set[Network], kind: Entry, table: int, protocol: int
) -> None:
    reading = read(packed(sorted(wanted), kind, table, protocol), table, protocol)
    assert reading.entries == dict.fromkeys(wanted, kind)
    assert not reading.doubles and not reading.done and not reading.interrupted


@given(networks())
def test_routes_of_another_table_protocol_or_type_are_not_read(network: Network) -> None:
    data = packed([network], EXEMPT, 2520, 222)
    assert read(data, 2521, 222).entries == {}
    assert read(data, 2520, 221).entries == {}
    only_blackholes = RouteDump(2520, 222, {6: BAN}, 7)
    only_blackholes.feed(data)
    assert only_blackholes.entries == {}


@given(networks())
def test_a_second_route_on_a_prefix_is_kept_apart(network: Network) -> None:
    reading = read(packed([network], EXEMPT, 2520, 222) + packed([network], BAN, 2520, 222), 2520, 222)
    assert reading.entries == {network: EXEMPT}
    assert reading.doubles == {network}


@given(st.lists(networks(), min_size=1, max_size=30))
def test_only_the_last_of_a_batch_asks_for_an_answer_and_numbers_run_on(wanted: list[Network]) -> None:
    for message in (codec.RTM_NEWROUTE, codec.RTM_DELROUTE):
        data = codec.encode_routes(message, BAN, 2520, 222, wanted, 100)
        seen = list(codec.messages(data))
        assert [sequence for _, _, sequence, _, _ in seen] == list(range(100, 100 + len(wanted)))
        assert [bool(flags & codec.NLM_F_ACK) for _, flags, _, _, _ in seen] == [False] * (
            len(wanted) - 1
        ) + [True]


@given(
    st.lists(networks(), min_size=8, max_size=30),
    st.sampled_from((4, 6, None)),
    st.sampled_from((codec.RTM_NEWROUTE, codec.RTM_DELROUTE)),
    st.sampled_from(Entry),
    st.integers(1, (1 << 32) - 40),
)
def test_many_of_one_family_are_packed_together_as_each_by_itself(
    wanted: list[Network], family: int | None, message: int, kind: Entry, first: int
) -> None:
    wanted = [network for network in wanted if family in (None, network.version)]
    each = [
        codec.encode_routes(message, kind, 2520, 222, [network], first + n)
        for n, network in enumerate(wanted)
    ]
    unasked = [one[:6] + (one[6] & ~codec.NLM_F_ACK).to_bytes() + one[7:] for one in each[:-1]]
    assert codec.encode_routes(message, kind, 2520, 222, wanted, first) == b"".join(unasked + each[-1:])


# Who wrote a route: mostly us, else with another protocol, table or type of the same length.
_WRITERS = st.sampled_from(
    [(222, 2520, None)] * 9 + [(4, 2520, None), (222, 2521, None), (222, 2520, 7), (222, 2520, 1)]
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """A datagram of routes of one or two families, most of them ours; then torn: cut, or with bytes overwritten."""
    wanted = draw(st.lists(st.tuples(networks(), st.sampled_from(Entry), _WRITERS), max_size=8))
    family, data = draw(st.sampled_from((4, 6, None))), bytearray()
    for network, kind, (protocol, table, type_) in wanted:
        if family in (None, network.version):
            one = bytearray(packed([network], kind, table, protocol))
            one[23] = one[23] if type_ is None else type_
            data += one
    for place, value in draw(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=2)):
        if place < len(data):
            data[place] = value
    return bytes(data[: draw(st.sampled_from((len(data), len(data) - 7, 30)))]) + draw(st.binary(max_size=30))


@given(answers())
def test_of_a_torn_answer_nothing_beyond_its_end_is_read_and_no_byte_twice(data: bytes) -> None:
    end = 0
    for _, _, _, start, stop in codec.messages(data):
        assert end <= start <= len(data) - 16 and stop >= start + 16
        end = stop
        inside, last = min(stop, len(data)), start + 28
        payloads = [payload for _, payload in codec.attributes(data, last, inside)]
        # Each attribute has a head of four bytes; the last one may be cut.
        assert sum(len(payload) + 4 for payload in payloads) <= max(0, inside - last) + max(
            0, len(data) - inside
        )
        assert len(payloads) <= max(0, inside - last) // 4
    reading = read(data, 2520, 222)
    # The smallest message of a route has 28 bytes.
    assert len(reading.entries) + len(reading.doubles) + reading.matched <= len(data) // 28
    for network, entry in reading.entries.items():
        assert entry in Entry
        assert network.packed in data or network.length == 0, network


@given(st.lists(networks(), min_size=1, max_size=8, unique=True), st.sampled_from(Entry), st.integers(0, 600))
def test_of_a_truncated_answer_the_whole_routes_are_read(wanted: list[Network], kind: Entry, at: int) -> None:
    data = packed(wanted, kind, 2520, 222)[:at]
    whole, end = [], 0
    for network in wanted:
        end += 44 if network.version == 4 else 56
        whole += [network] * (end <= at)
    reading = read(data, 2520, 222)
    assert reading.entries == dict.fromkeys(whole, kind)
    assert not reading.done and not reading.error


def test_a_route_whose_table_is_no_number_has_the_table_of_its_header() -> None:
    data = bytearray(packed([Network.parse("203.0.113.7")], BAN, 2520, 222))
    place = data.index((2520).to_bytes(4, "little")) - 4
    data[place : place + 2] = (4).to_bytes(2, "little")
    assert codec.decode_route(bytes(data), 0, len(data)).table == data[20]


@pytest.mark.parametrize("flags", [codec.NLM_F_DUMP_INTR, 0])
def test_an_interrupted_dump_is_noticed(flags: int) -> None:
    data = bytearray(packed([Network.parse("203.0.113.7")], BAN, 2520, 222))
    data[6:8] = flags.to_bytes(2, "little")
    assert read(bytes(data), 2520, 222).interrupted is bool(flags)


@pytest.mark.kernel
def test_ip_prints_the_routes_and_rules_that_were_packed(host: Namespace) -> None:
    with contextlib.closing(RoutingTable()) as table:
        table.ensure_rules()
        put(table, ROUTES)
    printed = {
        Network.parse(route["dst"]): route["type"]
        for family in ("-4", "-6")
        for route in host.json(family, "route", "show", "table", "2520", "proto", "222")
    }
    assert printed == {network: TYPE_NAMES[kind] for network, kind in ROUTES.items()}
    for family in ("-4", "-6"):
        ours = [rule for rule in host.json(family, "rule") if rule.get("protocol") == "222"]
        assert ours == [{"priority": 252, "src": "all", "table": "2520", "protocol": "222"}]


@pytest.mark.kernel
def test_routes_and_rules_that_ip_writes_are_read(host: Namespace) -> None:
    for network, kind in ROUTES.items():
        host.ip(
            f"-{network.version}",
            "route",
            "add",
            TYPE_NAMES[kind],
            str(network),
            "table",
            "2520",
            "proto",
            "222",
        )
    host.ip("-6", "rule", "add", "pref", "300", "from", "2001:db8::/32", "table", "2520", "protocol", "222")
    host.ip("rule", "add", "pref", "301", "table", "77", "protocol", "static")
    with contextlib.closing(Netlink()) as netlink:
        found = {version: netlink.routes(version, 2520, ENTRIES).entries for version in (4, 6)}
        assert found[4] | found[6] == ROUTES
        assert Rule(6, 300, 2520, 222, plain=False) in netlink.rules(6)
        assert Rule(4, 301, 77, 4, plain=True) in netlink.rules(4)
