"""The index of units gives the same as a search of all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.bans.packing import Standing
from sidecar.decide.widen.unit_index import WIDEST, UnitIndex
from sidecar.network import Network

# Some beginnings only, so that prefixes have many inside.
V4 = st.builds(
    lambda value, length: Network(4, value, 32).supernet(length),
    st.builds(lambda a, b: a << 16 | b, st.sampled_from([0, 0x0A00, 0xCB00, 0xFFFF]), st.integers(0, 0xFFFF)),
    st.integers(17, 32),
)
V6 = st.builds(
    lambda value, length: Network(6, value << 64, 128).supernet(length),
    st.builds(lambda a, b: a << 32 | b, st.sampled_from([0x20010DB8, 0xFFFFFFFF]), st.integers(0, 0xFFFF)),
    st.sampled_from([33, 48, 56, 60, 64, 128]),
)
NETWORKS = st.one_of(V4, V6)


def standing(at: float, until: float | None) -> Standing:
    return Standing(b"", at, until, until, 1, 1, "a", "log", "", False, "")


@given(
    st.lists(st.tuples(NETWORKS, st.integers(0, 9), st.booleans()), max_size=60),
    NETWORKS,
    st.integers(0, 16),
)
def test_units_inside_a_prefix_are_found_as_by_a_linear_search(
    changes: list[tuple[Network, int, bool]], asked: Network, wider: int
) -> None:
    index, known = UnitIndex(), dict[Network, float]()
    for network, at, gone in changes:
        index.set(network, [] if gone else [standing(at, None)])
        known.pop(network, None)
        if not gone:
            known[network] = at
    assert len(index) == len(known)
    prefix = asked.supernet(max(WIDEST[asked.version], asked.length - wider))
    inside = sorted(n for n in known if prefix.covers(n) and n != prefix)
    assert [unit.network for unit in index.inside(prefix)] == inside
    assert index.count(prefix) == len(inside)
    assert index.count_since(prefix, 5) == sum(known[n] >= 5 for n in inside)
    for enough in (1, 2, 3):
        all_of = {
            n.supernet(prefix.length)
            for n in known
            if n.version == prefix.version and n.length > prefix.length
        }
        many = {p for p in all_of if sum(p.covers(n) and n != p for n in known) >= enough}
        assert set(index.prefixes(prefix.version, prefix.length, enough)) - {None} == many


def test_a_unit_keeps_the_place_of_its_line_until_it_gets_another() -> None:
    index, one = UnitIndex(), Network.parse("203.0.113.7")
    assert index.set(one, [standing(1.0, 2.0)], 7)
    assert not index.set(one, [standing(1.0, 2.0)])
    assert index.set(one, [standing(1.0, 3.0)])
    assert [unit.place for unit in index.inside(one.supernet(24))] == [7]
