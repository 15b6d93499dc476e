"""What must be written is worked out by pure functions: differences, counts, what covers whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.kernel.backend import Entry
from sidecar.kernel.plan import count, covering, difference
from sidecar.network import BITS, Network

BAN, EXEMPT = Entry.BAN, Entry.EXEMPT


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Networks that lie close together, so that many nest and collide."""
    version = draw(st.sampled_from((4, 6)))
    bits = BITS[version]
    length = draw(st.integers(bits - 5, bits))
    shift = bits - length
    return Network(version, (draw(st.integers(0, 31)) >> shift) << shift, length)


tables = st.dictionaries(networks(), st.sampled_from(Entry), max_size=40)


@given(wanted=tables, present=tables)
def test_applying_a_difference_gives_what_is_wanted(
    wanted: dict[Network, Entry], present: dict[Network, Entry]
) -> None:
    change = difference(wanted, present)
    assert all(present[network] is kind for network, kind in change.remove.items())
    after = {network: kind for network, kind in present.items() if network not in change.remove}
    assert not after.keys() & change.add.keys()
    assert {**after, **change.add} == wanted


@given(wanted=tables)
def test_nothing_is_written_when_everything_stands(wanted: dict[Network, Entry]) -> None:
    assert not difference(wanted, dict(wanted))


@given(present=tables)
def test_counted_addresses_are_those_whose_longest_prefix_is_a_blackhole(
    present: dict[Network, Entry],
) -> None:
    for version, counted in count(present).items():
        bits = BITS[version]
        refused = 0
        for value in range(32):
            address = Network(version, value, bits)
            around = [network for network in present if network.covers(address)]
            nearest = max(around, key=lambda network: network.length, default=None)
            refused += nearest is not None and present[nearest] is BAN
        mine = [kind for network, kind in present.items() if network.version == version]
        assert (counted.entries, counted.exempt) == (len(mine), mine.count(EXEMPT))
        assert counted.addresses == refused


def test_a_throw_inside_a_ban_is_taken_out_of_the_addresses() -> None:
    present = {Network.parse("10.0.0.0/8"): BAN, Network.parse("10.1.2.3"): EXEMPT}
    assert count(present)[4].addresses == 2**24 - 1


def test_only_blackholes_around_a_throw_cover_it() -> None:
    present = {
        Network.parse("10.0.0.0/8"): BAN,
        Network.parse("10.1.0.0/16"): EXEMPT,
        Network.parse("10.1.2.3"): BAN,
        Network.parse("10.1.2.4"): BAN,
    }
    assert covering([Network.parse("10.1.2.3")], present) == {
        Network.parse("10.0.0.0/8"),
        Network.parse("10.1.2.3"),
    }
