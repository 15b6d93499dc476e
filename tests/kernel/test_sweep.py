"""A flush deletes what the kernel lists, datagram by datagram, and nothing that is not ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.kernel import codec
from sidecar.kernel.codec import KINDS, RouteKind
from sidecar.kernel.routes import RoutingTable
from sidecar.kernel.sweep import Sweep
from sidecar.network import Network
from tests.kernel.test_codec import networks, packed
from tests.netns import Namespace

TABLE, OURS = 2520, 222
END = codec.HEADER.pack(20, codec.NLMSG_DONE, 0, 7, 0) + bytes(4)


def told(part: bytes) -> list[tuple[int, Network]]:
    return [
        (type_, codec.decode_route(part, at, end).network) for type_, _, _, at, end in codec.messages(part)
    ]


@given(st.lists(networks(), min_size=1, max_size=30), st.sampled_from(RouteKind), st.booleans())
def test_routes_of_one_shape_become_deletes_of_the_same(
    wanted: list[Network], kind: RouteKind, ends: bool
) -> None:
    wanted = [network for network in wanted if network.version == wanted[0].version]
    sweep = Sweep(TABLE, OURS, KINDS)
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
    sweep = Sweep(TABLE, OURS, KINDS)
    both = [packed(wanted, RouteKind.THROW, TABLE, OURS), packed(wanted, RouteKind.THROW, *foreign)]
    sweep.feed(b"".join(both[:: 1 if first else -1]))
    assert (sweep.parts, sweep.count) == ([], 0)


@given(st.binary(max_size=300))
def test_any_bytes_are_taken(data: bytes) -> None:
    sweep = Sweep(TABLE, OURS, KINDS)
    sweep.feed(data)
    assert sweep.count == 0


@pytest.mark.kernel
@pytest.mark.parametrize("version", [4, 6])
def test_a_flush_takes_thousands_of_ours_and_leaves_what_others_wrote_between(
    host: Namespace, version: int
) -> None:
    host.wire("eth0", "192.0.2.1/24", "2001:db8:ff::1/64")
    heads = {4: "100.64.0.0", 6: "2001:db8::"}
    first = int.from_bytes(Network.parse(heads[version]).packed)
    step, length = (1, 32) if version == 4 else (1 << 64, 64)
    ours = {Network(version, first + 2 * n * step, length): RouteKind.BLACKHOLE for n in range(3000)}
    table = RoutingTable()
    table.reconcile(ours)
    others = [str(Network(version, first + (2 * n + 1) * step, length)) for n in range(0, 3000, 300)]
    for other in others:
        host.ip(f"-{version}", "route", "add", "blackhole", other, "table", str(TABLE), "proto", "static")
    assert table.flush().removed == 3000
    shown = host.ip(f"-{version}", "route", "show", "table", str(TABLE))
    assert len(shown.splitlines()) == len(others)
    table.close()
