"""A flush deletes what the kernel lists, datagram by datagram, and nothing that is not ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.kernel.backend import Entry
from sidecar.kernel.netlink import codec
from sidecar.kernel.netlink.codec import ENTRIES
from sidecar.kernel.netlink.sweep import Sweep
from sidecar.kernel.route.routing_table import RoutingTable
from sidecar.network import Network
from tests.kernel.entries import put
from tests.kernel.netlink.test_codec import answers, networks, packed
from tests.netns import Namespace

TABLE, OURS = 2520, 222
END = codec.HEADER.pack(20, codec.NLMSG_DONE, 0, 7, 0) + bytes(4)


def told(part: bytes) -> list[tuple[int, Network]]:
    return [
        (type_, codec.decode_route(part, at, end).network) for type_, _, _, at, end in codec.messages(part)
    ]


@given(st.lists(networks(), min_size=1, max_size=30), st.sampled_from(Entry), st.booleans())
def test_routes_of_one_shape_become_deletes_of_the_same(
    wanted: list[Network], kind: Entry, ends: bool
) -> None:
    wanted = [network for network in wanted if network.version == wanted[0].version]
    sweep = Sweep(TABLE, OURS, ENTRIES)
    sweep.feed(packed(wanted, kind, TABLE, OURS) + END * ends)
    assert told(b"".join(sweep.parts)) == [(codec.RTM_DELROUTE, network) for network in wanted]
    assert (sweep.count, sweep.done) == (len(wanted), ends)


@given(
    st.lists(networks().filter(lambda n: n.version == 4), min_size=1, max_size=9),
    st.sampled_from([(2521, OURS), (TABLE, 4), (2520 + 256, OURS), (254, OURS)]),
    st.booleans(),
)
def test_a_datagram_with_somebody_elses_route_is_left_alone(
    wanted: list[Network], foreign: tuple[int, int], first: bool
) -> None:
    sweep = Sweep(TABLE, OURS, ENTRIES)
    both = [packed(wanted, Entry.EXEMPT, TABLE, OURS), packed(wanted, Entry.EXEMPT, *foreign)]
    sweep.feed(b"".join(both[:: 1 if first else -1]))
    assert (sweep.parts, sweep.count) == ([], 0)


@given(answers())
def test_of_a_torn_answer_only_routes_of_ours_that_stand_in_it_become_deletes(data: bytes) -> None:
    sweep = Sweep(TABLE, OURS, ENTRIES)
    sweep.feed(data)
    deletes = b"".join(sweep.parts)
    sent = [(type_, codec.decode_route(deletes, at, end)) for type_, _, _, at, end in codec.messages(deletes)]
    listed = [
        codec.decode_route(data, at, end)
        for type_, _, _, at, end in codec.messages(data)
        if type_ == codec.RTM_NEWROUTE and end <= len(data) and end - at >= 28
    ]
    assert len(sent) == sweep.count and len(deletes) <= len(data)
    assert [route for _, route in sent] == listed[: len(sent)]
    for type_, route in sent:
        assert (type_, route.table, route.protocol) == (codec.RTM_DELROUTE, TABLE, OURS)
        assert route.type in ENTRIES
    # Nothing else is asked of the kernel: neither a dump nor a creation.
    assert all(flags == codec.NLM_F_REQUEST for _, flags, *_ in codec.messages(deletes))


MESSAGES = st.sampled_from(
    [codec.HEADER.pack(20, type_, 0, 7, 0) + bytes(4) for type_ in (0, 1, 2, 3, 4, 25)]
)


@given(st.lists(MESSAGES, max_size=3).map(b"".join) | st.binary(max_size=300))
def test_arbitrary_bytes_delete_nothing_and_end_only_with_an_end(data: bytes) -> None:
    sweep = Sweep(TABLE, OURS, ENTRIES)
    sweep.feed(data)
    assert (sweep.count, sweep.parts) == (0, [])
    ends = (codec.NLMSG_DONE, codec.NLMSG_ERROR)
    assert sweep.done == any(type_ in ends for type_, *_ in codec.messages(data))


@pytest.mark.kernel
@pytest.mark.parametrize("version", [4, 6])
def test_a_flush_takes_thousands_of_ours_and_leaves_what_others_wrote_between(
    host: Namespace, version: int
) -> None:
    host.wire("eth0", "192.0.2.1/24", "2001:db8:ff::1/64")
    heads = {4: "100.64.0.0", 6: "2001:db8::"}
    first = int.from_bytes(Network.parse(heads[version]).packed)
    step, length = (1, 32) if version == 4 else (1 << 64, 64)
    ours = {Network(version, first + 2 * n * step, length): Entry.BAN for n in range(3000)}
    table = RoutingTable()
    put(table, ours)
    others = [str(Network(version, first + (2 * n + 1) * step, length)) for n in range(0, 3000, 300)]
    for other in others:
        host.ip(f"-{version}", "route", "add", "blackhole", other, "table", str(TABLE), "proto", "static")
    assert table.flush() == 3000
    shown = host.ip(f"-{version}", "route", "show", "table", str(TABLE))
    assert len(shown.splitlines()) == len(others)
    table.close()
