"""The ban table and the guard."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.bans.guard import Guard
from sidecar.bans.table import BanTable
from sidecar.model import ADOPTED, Ban, Extended
from sidecar.network import Network, PrefixSet

WHO = Network.parse("203.0.113.7")


def ban(network: Network = WHO, jail: str = "a", until: float | None = 100.0, *, dry: bool = False) -> Ban:
    return Ban(network, jail, 0.0, until, "log", dry=dry)


def test_a_network_is_blocked_while_it_has_a_ban() -> None:
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


def test_a_dry_ban_is_kept_and_blocks_nothing() -> None:
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


ADOPTED_BAN = Ban(WHO, "a", 0.0, None, "import", f"{ADOPTED}route", times=0)


@given(
    st.lists(
        st.builds(ban, jail=st.sampled_from("ab"), until=st.sampled_from([5.0, None]), dry=st.booleans())
    ),
    st.booleans(),
    st.builds(ban, until=st.sampled_from([5.0, 9.0, None]), dry=st.booleans()),
)
def test_where_a_ban_is_endless_no_other_of_its_jail_changes_anything(
    before: list[Ban], adopted: bool, further: Ban
) -> None:
    table = BanTable([ADOPTED_BAN] if adopted else [])
    for one in before:
        table.ban(one)
    if table.is_endless(WHO, "a"):
        assert table.ban(further) is None
    assert not table.is_endless(WHO, "c")


def test_a_ban_with_an_end_a_dry_one_and_one_of_a_route_alone_are_not_endless() -> None:
    assert BanTable([ban(until=None)]).is_endless(WHO, "a")
    for one in (ban(until=9.0), ban(until=None, dry=True), ADOPTED_BAN):
        assert not BanTable([one]).is_endless(WHO, "a")


def test_a_ban_of_a_network_covers_its_addresses() -> None:
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


def test_a_network_that_contains_a_protected_one_may_be_banned_and_touches_it() -> None:
    guard = Guard({"gateway": [Network.parse("2001:db8::1")]})
    around = Network.parse("2001:db8::/64")
    assert guard.refuse(around) is None
    assert guard.touches(around)
    assert guard.throws() == {Network.parse("2001:db8::1")}


ADDRESSES = st.builds(
    lambda v, length: Network(4, v, 32).supernet(length), st.integers(0, 2**32 - 1), st.integers(0, 32)
)


@given(st.lists(ADDRESSES, max_size=30), ADDRESSES)
def test_a_prefix_set_gives_the_same_results_as_a_linear_search(
    members: list[Network], asked: Network
) -> None:
    found = PrefixSet(members)
    covering = [m for m in members if m.covers(asked)]
    assert found.covering(asked) == max(covering, key=lambda m: m.length, default=None)
    assert set(found.inside(asked)) == {m for m in members if asked.covers(m)}


def test_bans_bucketed_by_hour_end_to_the_second() -> None:
    ends = [7199.0, 7200.0, 7200.5, 9000.0, 90_000.0]
    bans = [ban(Network(4, n, 32), until=end) for n, end in enumerate(ends)]
    table = BanTable(bans)
    assert [u.at for u in table.expire(7199.5)] == [7199.0]
    assert isinstance(table.ban(bans[1]._replace(until=20_000.0)), Extended)
    assert [u.at for u in table.expire(7200.5)] == [7200.5]
    assert [u.at for u in table.expire(19_999.0)] == [9000.0]
    assert [u.at for u in table.expire(1e9)] == [20_000.0, 90_000.0]
    assert len(table) == 0


def test_a_clock_adjustment_moves_the_ends_of_active_bans_only() -> None:
    table = BanTable([ban(until=5000.0)])
    table.shift(100_000.0)
    later = Network.parse("203.0.113.8")
    table.ban(ban(later, until=104_000.0))
    assert [(u.network, u.at) for u in table.expire(104_500.0)] == [(later, 104_000.0)]
    assert [(u.network, u.at) for u in table.expire(105_000.0)] == [(WHO, 105_000.0)]


JAILS = st.sampled_from("abc")
STEPS = st.one_of(
    st.tuples(st.just("ban"), st.integers(0, 3), JAILS, st.none() | st.integers(1, 20_000), st.booleans()),
    st.tuples(st.just("lift"), st.integers(0, 3), st.none() | JAILS, st.none(), st.just(value=False)),
    st.tuples(st.just("expire"), st.integers(0, 20_000), st.none(), st.none(), st.just(value=False)),
)


@given(st.lists(STEPS, max_size=40))
def test_a_table_gives_the_same_results_as_a_plain_list_of_bans(
    steps: list[tuple[str, int, str, float, bool]],
) -> None:
    table, plain, now = BanTable(), dict[tuple[Network, str], Ban](), 0.0
    for step, number, jail, until, dry in steps:
        network = Network(4, number, 32)
        if step == "ban":
            new = ban(network, jail, until, dry=dry)
            event, old = table.ban(new), plain.get((network, jail))
            longer = old and old.until is not None and (until is None or until > old.until)
            if old is None or (old.dry and not dry):
                assert event == new
                plain[network, jail] = new
            elif longer and old.dry == dry:
                assert isinstance(event, Extended)
                plain[network, jail] = old._replace(until=until)
            else:
                assert event is None
        elif step == "lift":
            gone = [key for key in plain if key[0] == network and jail in (None, key[1])]
            assert {(u.network, u.jail) for u in table.lift(network, now, "manual", jail)} == set(gone)
            plain = {key: one for key, one in plain.items() if key not in gone}
        else:
            now = max(now, float(number))
            over = {key for key, one in plain.items() if one.until is not None and one.until <= now}
            ended = table.expire(now)
            assert {(u.network, u.jail) for u in ended} == over
            assert all(u.dry == plain[u.network, u.jail].dry for u in ended)
            plain = {key: one for key, one in plain.items() if key not in over}
        assert set(table) == set(plain.values())
        assert set(table.refused()) == {key[0] for key, one in plain.items() if not one.dry}
        assert +table.active == Counter(jail for (_, jail), one in plain.items() if not one.dry)
        assert +table.dry == Counter(jail for (_, jail), one in plain.items() if one.dry)


def test_a_resting_ban_stays_and_blocks_nothing_until_it_is_active_again() -> None:
    other = Network.parse("203.0.113.8")
    table = BanTable(
        [ban(), ban(jail="b", until=None), ban(other), ban(Network.parse("203.0.113.0/24"), "wide")]
    )
    assert table.rest([(WHO, "a")]) == set()
    assert (table.active, table.resting) == (Counter(a=1, b=1, wide=1), Counter(a=1))
    assert table.stands(WHO) and table.reasons(WHO) == 1
    assert table.rest([(WHO, "a"), (WHO, "b")]) == {WHO}
    assert not table.stands(WHO) and table.rests(WHO, "b")
    assert WHO not in set(table.refused()) and other in set(table.refused())
    assert len(table.all_of(WHO)) == 2 and table.inside(WHO) == [WHO]
    assert sorted(u.jail for u in table.expire(100.0)) == ["a", "a", "wide"]
    assert (+table.active, +table.resting) == (Counter(), Counter(b=1))
    assert table.rest([]) == {WHO}
    assert table.stands(WHO) and list(table.refused()) == [WHO]
    assert (+table.active, +table.resting) == (Counter(b=1), Counter())


_JAILS = st.sampled_from("ab")


@given(
    st.lists(
        st.tuples(st.sampled_from(("ban", "dry", "lift", "rest", "expire")), st.integers(0, 3), _JAILS),
        max_size=40,
    )
)
def test_resting_and_active_bans_always_add_up(steps: list[tuple[str, int, str]]) -> None:
    table = BanTable()
    for at, (what, last, jail) in enumerate(steps):
        network = Network(4, last, 32)
        if what in ("ban", "dry"):
            table.ban(Ban(network, jail, float(at), at + 3.0 + last, "log", dry=what == "dry"))
        elif what == "lift":
            table.lift(network, float(at), "manual", jail)
        elif what == "rest":
            stood = {n for n in table.networks() if table.stands(n)}
            some = [(b.network, b.jail) for b in table if b.network.value <= last]
            changed = table.rest(some)
            assert changed == stood ^ {n for n in table.networks() if table.stands(n)}
        else:
            table.expire(float(at))
        bans = [(b.jail, table.rests(b.network, b.jail)) for b in table if not b.dry]
        assert +table.active == Counter(jail for jail, rests in bans if not rests)
        assert +table.resting == Counter(jail for jail, rests in bans if rests)
        assert +table.dry == Counter(b.jail for b in table if b.dry)
        awake = {b.network for b in table if not (b.dry or table.rests(b.network, b.jail))}
        assert set(table.refused()) == awake
