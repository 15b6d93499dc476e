"""One account tried from many addresses and many accounts from one network are seen, and banned only if a jail
says so."""

from __future__ import annotations

from sidecar.bans.guard import Guard
from sidecar.bans.table import BanTable
from sidecar.decide.engine import DecisionEngine
from sidecar.detect.count.password_spray import MANY, PasswordSprayDetector
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.spec import FilterSpec
from sidecar.model import Ban, LineFacts, Match
from sidecar.network import Network

DAY = 86400.0


def address(third: int, fourth: int) -> Network:
    return Network.parse(f"198.18.{third}.{fourth}")


def test_an_account_that_many_addresses_tried_within_a_day_is_told_with_them() -> None:
    spread = PasswordSprayDetector()
    for number in range(MANY):
        spread.see(address(number, 1), "Bob@example.com", float(number))
    (found,) = spread.accounts(100.0)
    assert (found.subject, len(found.addresses)) == ("bob@example.com", MANY)
    assert list(spread.accounts(DAY + 5.0)) == []


def test_many_tries_of_one_address_are_one() -> None:
    spread = PasswordSprayDetector()
    assert [spread.see(address(1, 1), "bob", float(n)) for n in range(20)] == [1] * 20
    assert list(spread.accounts(30.0)) == []


def test_a_network_of_which_many_accounts_were_tried_is_told() -> None:
    spread = PasswordSprayDetector()
    for number in range(MANY):
        spread.see(address(7, number % 4), f"user{number}@example.com", 0.0)
        spread.see(address(number, 1), "somebody@example.com", 0.0)
    found = list(spread.networks(1.0))
    assert [(one.subject, len(one.addresses), one.accounts) for one in found] == [
        ("198.18.7.0/24", 4, MANY + 1)
    ]


def test_a_jail_may_ban_each_of_the_many_and_does_not_by_itself() -> None:
    def bans(**options: int) -> int:
        jail = JailSpec("mail", FilterSpec("f", ()), (), 5, 600.0, None, count="logins", **options)  # type: ignore[arg-type]
        judge = DecisionEngine([jail], Guard({}), BanTable())
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
            isinstance(event, Ban) for m in matches for event in judge.judge(m, m.at or 0.0, m.at or 0.0)
        )

    assert bans() == 0
    assert bans(most_addresses=10) == 11
