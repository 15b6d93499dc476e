"""Bans inside an enforced ban of a wider network are folded into the widest one, and counted there."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sidecar.bans.folding import Folding
from sidecar.model import Ban
from sidecar.network import Network


def networks(*texts: str) -> list[Network]:
    return [Network.parse(text) for text in texts]


def test_single_bans_are_folded_into_the_network_around_them() -> None:
    wide, one, two, other = networks("203.0.113.0/24", "203.0.113.7", "203.0.113.9", "198.51.100.7")
    folding = Folding(lambda: [one, wide, two, other])
    assert [folding.into(n) for n in (wide, one, two, other)] == [None, wide, wide, None]
    assert [folding.inside(n) for n in (wide, one, other)] == [2, 0, 0]


def test_of_networks_inside_each_other_the_widest_counts_and_the_others_are_folded() -> None:
    widest, wide, one = networks("2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::7")
    folding = Folding(lambda: [one, wide, widest])
    assert [folding.into(n) for n in (widest, wide, one)] == [None, widest, widest]
    assert [folding.inside(n) for n in (widest, wide)] == [2, 0]


def test_a_ban_that_does_not_stand_is_not_folded() -> None:
    wide, one = networks("203.0.113.0/24", "203.0.113.7")
    folding = Folding(lambda: [wide, one])
    ban, around = (Ban(network, "smtp", 1.0, None, "log") for network in (one, wide))
    assert folding.record(ban, stands=True) == {"folded_into": "203.0.113.0/24", "folded": 0}
    assert folding.record(ban, stands=False) == {"folded_into": None, "folded": 0}
    assert folding.record(around, stands=True) == {"folded_into": None, "folded": 1}


def test_without_bans_nothing_is_folded() -> None:
    assert Folding(tuple).into(Network.parse("203.0.113.7")) is None


ANY = st.builds(
    lambda value, length: Network(4, value, 32).supernet(length), st.integers(0, 7), st.integers(26, 32)
) | st.builds(
    lambda value, length: Network(6, value << 60, 128).supernet(length), st.integers(0, 31), st.integers(60, 68)
)  # fmt: skip


@given(st.sets(ANY, max_size=12))
def test_every_network_is_folded_into_the_widest_that_covers_it(enforced: set[Network]) -> None:
    folding = Folding(lambda: enforced)
    expected: Counter[Network] = Counter()
    for network in enforced:
        around = [one for one in enforced if one.covers(network) and one != network]
        into = min(around, key=lambda one: one.length, default=None)
        assert folding.into(network) == into
        if into is not None:
            expected[into] += 1
    assert {one: folding.inside(one) for one in enforced} == {one: expected[one] for one in enforced}
