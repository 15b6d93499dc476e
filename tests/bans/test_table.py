"""The ban table and the guard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.bans.guard import Guard
from sidecar.bans.table import BanTable
from sidecar.model import Ban, Extended
from sidecar.network import Network, PrefixSet

WHO = Network.parse("203.0.113.7")


def ban(network: Network = WHO, jail: str = "a", until: float | None = 100.0, *, dry: bool = False) -> Ban:
    return Ban(network, jail, 0.0, until, "log", dry=dry)


def test_a_network_is_refused_as_long_as_one_reason_stands() -> None:
    table = BanTable()
    table.ban(ban(until=10.0))
    table.ban(ban(jail="b", until=None))
    assert [u.jail for u in table.expire(10.0)] == ["a"]
    assert list(table.refused()) == [WHO]
    assert [u.jail for u in table.lift(WHO, 11.0, "manual")] == ["b"]
    assert list(table.refused()) == []


def test_a_second_ban_of_a_jail_extends_and_never_shortens() -> None:
    table = BanTable([ban(until=10.0)])
    assert table.ban(ban(until=5.0)) is None
    assert isinstance(table.ban(ban(until=20.0)), Extended)
    assert table.expire(15.0) == []
    assert [u.at for u in table.expire(20.0)] == [20.0]
    assert table.ban(ban(until=None)) is not None
    assert table.ban(ban(until=99.0)) is None


def test_a_dry_run_is_remembered_and_refuses_nobody() -> None:
    table = BanTable([ban(dry=True)])
    assert list(table.refused()) == []
    assert not table.stands(WHO)
    assert table.of(WHO, "a") is not None


def test_a_dry_run_never_changes_a_real_ban_and_a_real_ban_replaces_a_dry_one() -> None:
    table = BanTable([ban(until=10.0)])
    assert table.ban(ban(until=None, dry=True)) is None
    assert table.of(WHO, "a") == ban(until=10.0)
    trial = BanTable([ban(until=None, dry=True)])
    assert trial.ban(ban(until=10.0)) == ban(until=10.0)
    assert trial.stands(WHO)


def test_an_address_is_answered_for_by_the_network_around_it() -> None:
    table = BanTable([ban(Network.parse("203.0.113.0/24")), ban()])
    assert [str(b.network) for b in table.over(WHO)] == ["203.0.113.7/32", "203.0.113.0/24"]
    assert sorted(map(str, table.inside(Network.parse("203.0.0.0/16")))) == [
        "203.0.113.0/24",
        "203.0.113.7/32",
    ]


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ("127.0.0.1", "reserved"),
        ("0.0.0.0/0", "too-wide"),
        ("224.0.0.5", "reserved"),
        ("fe80::1", "reserved"),
        ("::/0", "too-wide"),
        ("10.0.0.1", "own-address"),
        ("10.0.0.254", "gateway"),
        ("10.9.0.3", "ignored"),
        ("198.0.0.0/15", "too-wide"),
        ("198.51.0.0/17", None),
        ("2001:db8::/32", None),
        ("2001:db8::7", None),
        ("10.0.0.0/24", None),
    ],
)
def test_the_guard_refuses_what_must_never_be_cut_off(network: str, reason: str | None) -> None:
    guard = Guard({"own-address": [Network.parse("10.0.0.1")], "gateway": [Network.parse("10.0.0.254")]})
    assert guard.refuse(Network.parse(network), PrefixSet([Network.parse("10.9.0.0/16")])) == reason


def test_a_network_that_holds_a_protected_one_may_be_banned_and_is_known_to_touch_it() -> None:
    guard = Guard({"gateway": [Network.parse("2001:db8::1")]})
    around = Network.parse("2001:db8::/64")
    assert guard.refuse(around) is None
    assert guard.touches(around)
    assert guard.throws() == {Network.parse("2001:db8::1")}


ADDRESSES = st.builds(
    lambda v, length: Network(4, v, 32).supernet(length), st.integers(0, 2**32 - 1), st.integers(0, 32)
)


@given(st.lists(ADDRESSES, max_size=30), ADDRESSES)
def test_a_prefix_set_answers_as_a_walk_over_all_members_would(
    members: list[Network], asked: Network
) -> None:
    found = PrefixSet(members)
    covering = [m for m in members if m.covers(asked)]
    assert found.covering(asked) == max(covering, key=lambda m: m.length, default=None)
    assert set(found.inside(asked)) == {m for m in members if asked.covers(m)}
