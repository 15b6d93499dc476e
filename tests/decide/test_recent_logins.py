"""A recent login makes an address known-good for some time, unless it tries accounts of others."""

from __future__ import annotations

import pytest

from sidecar.decide.recent_logins import RecentLogins
from sidecar.network import Network

DAY = 86400.0
OFFICE, HOME, NEW = (Network.parse(a) for a in ("203.0.113.7", "203.0.113.8", "203.0.113.9"))


def test_a_login_is_remembered_for_as_long_as_it_lasts() -> None:
    known = RecentLogins(30 * DAY)
    assert known.login(OFFICE, "Bob@example.com", 0.0)
    assert known.is_known(OFFICE, 29 * DAY) and known.owns(OFFICE, "bob@example.com", 29 * DAY)
    assert not known.is_known(OFFICE, 31 * DAY) and not known.owns(OFFICE, "bob@example.com", 31 * DAY)
    assert not known.is_known(HOME, 1.0)


def test_a_login_is_written_down_when_it_is_new_and_every_few_hours() -> None:
    known = RecentLogins(30 * DAY)
    assert known.login(OFFICE, "bob", 0.0)
    assert not known.login(OFFICE, "bob", 3600.0)
    assert known.login(OFFICE, "bob", 7 * 3600.0)
    assert known.login(OFFICE, "carol", 3601.0)


def test_who_is_spoilt_is_not_good_until_then() -> None:
    known = RecentLogins(30 * DAY)
    known.login(OFFICE, "bob", 0.0)
    known.spoil(OFFICE, 100.0)
    assert not known.is_known(OFFICE, 99.0)
    assert known.is_known(OFFICE, 101.0)


def test_an_address_that_all_its_accounts_left_for_one_other_is_forgotten() -> None:
    known = RecentLogins(30 * DAY)
    for account in ("bob", "carol"):
        known.login(OFFICE, account, 0.0)
    known.login(NEW, "bob", 10.0)
    assert known.is_known(OFFICE, 11.0)
    known.login(NEW, "carol", 12.0)
    assert not known.is_known(OFFICE, 13.0)
    assert known.is_known(NEW, 13.0)


def test_one_who_logs_in_from_home_too_keeps_both() -> None:
    known = RecentLogins(30 * DAY)
    known.login(OFFICE, "bob", 0.0)
    known.login(HOME, "bob", 10.0)
    assert known.is_known(OFFICE, 11.0) and known.is_known(HOME, 11.0)
    assert sorted(known.networks()) == sorted((OFFICE, HOME))
    assert known.inside(Network.parse("203.0.113.0/24"), 11.0) == 2


def test_the_known_ones_inside_a_network_are_counted_as_by_a_search_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sidecar.decide.recent_logins._MOST", 20)
    known = RecentLogins(30 * DAY)
    addresses = [Network.parse(f"203.0.{n % 3}.{n}") for n in range(40)]
    addresses += [Network.parse(f"2001:db8:{n}::/64") for n in range(10)]
    for at, network in enumerate(addresses):
        # Accounts move from one address to the next.
        for account in (f"a{at // 4}", f"b{at // 4}", f"c{at % 3}"):
            known.login(network, account, float(at))
    for text in ("0.0.0.0/0", "203.0.0.0/16", "203.0.1.0/24", "203.0.2.35", "::/0", "2001:db8::/32"):
        asked = Network.parse(text)
        good = {network for network, _, _ in known.all() if known.is_known(network, 60.0)}
        assert known.inside(asked, 60.0) == sum(asked.covers(network) for network in good), text
    assert sum(map(len, known._near.values())) == len(known)
