"""Password spraying (one account from many addresses, many accounts from one network) is reported, and banned only
if a jail is configured so."""

from __future__ import annotations

from sidecar.bans.guard import Guard
from sidecar.bans.register import BanRegister
from sidecar.decide.engine import DecisionEngine
from sidecar.detect.count.password_spray import MANY, PasswordSprayDetector
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.spec import FilterSpec
from sidecar.model import Ban, LineFacts, Match
from sidecar.network import Network

DAY = 86400.0


def address(third: int, fourth: int) -> Network:
    return Network.parse(f"198.18.{third}.{fourth}")


def test_an_account_tried_by_many_addresses_within_a_day_is_reported_with_them() -> None:
    spread = PasswordSprayDetector()
    for number in range(MANY):
        spread.see(address(number, 1), "Bob@example.com", float(number))
    (found,) = spread.accounts(100.0)
    assert (found.subject, len(found.addresses)) == ("bob@example.com", MANY)
    assert list(spread.accounts(DAY + 5.0)) == []


def test_repeated_tries_of_one_address_count_once() -> None:
    spread = PasswordSprayDetector()
    assert [spread.see(address(1, 1), "bob", float(n)) for n in range(20)] == [1] * 20
    assert list(spread.accounts(30.0)) == []


def test_a_network_that_tried_many_accounts_is_reported() -> None:
    spread = PasswordSprayDetector()
    for number in range(MANY):
        spread.see(address(7, number % 4), f"user{number}@example.com", 0.0)
        spread.see(address(number, 1), "somebody@example.com", 0.0)
    found = list(spread.networks(1.0))
    assert [(one.subject, len(one.addresses), one.accounts) for one in found] == [
        ("198.18.7.0/24", 4, MANY + 1)
    ]


def test_a_jail_bans_the_addresses_of_a_spray_only_if_configured() -> None:
    def bans(**options: int) -> int:
        jail = JailSpec("mail", FilterSpec("f", ()), (), 5, 600.0, None, count="logins", **options)  # type: ignore[arg-type]
        engine = DecisionEngine([jail], Guard({}), BanRegister())
        matches = [
            Match(
                "mail",
                f"198.18.{n}.1",
                float(n),
                "line",
                "/x/audit.log",
                LineFacts(f"198.18.{n}.1", None, "bob", "imap"),
            )
            for n in range(20)
        ]
        return sum(
            isinstance(event, Ban) for m in matches for event in engine.decide(m, m.at or 0.0, m.at or 0.0)
        )

    assert bans() == 0
    assert bans(most_addresses=10) == 11


def test_accounts_that_are_under_attack_now_are_counted_and_those_of_another_day_are_not() -> None:
    spread = PasswordSprayDetector()
    for number in range(MANY):
        network = Network.parse(f"198.51.100.{number}")
        spread.see(network, "old@example.com", 1000.0 + number)
        spread.see(network, "new@example.com", 100_000.0 + number)
        spread.see(network, "few@example.com" if number else "one@example.com", 100_000.0 + number)
    assert spread.attacked(1100.0) == 2
    assert spread.attacked(100_100.0) == 1
    assert spread.attacked(300_000.0) == 0
    assert PasswordSprayDetector().attacked(0.0) == 0
