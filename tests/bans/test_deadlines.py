"""The schedule of ends: each is found in time, and extensions do not pile up."""

from __future__ import annotations

from sidecar.bans.table import BanTable
from sidecar.model import Ban
from sidecar.network import Network

WHO, OTHER = Network.parse("203.0.113.7"), Network.parse("203.0.113.8")
DAY = 86400.0


def ban(until: float, network: Network = WHO, jail: str = "a") -> Ban:
    return Ban(network, jail, 0.0, until, "log")


def test_a_ban_that_each_line_extends_is_scheduled_once_an_hour_and_ends_with_its_last_end() -> None:
    table = BanTable([ban(DAY)])
    for second in range(1, 2 * 3600):
        table.ban(ban(DAY + second))
    assert [len(scheduled) for scheduled in table._deadlines._hours.values()] == [1, 1]
    last = DAY + 2 * 3600 - 1
    assert table.expire(last - 1) == []
    assert [(unban.network, unban.at) for unban in table.expire(last)] == [(WHO, last)]
    assert len(table) == len(table._deadlines._hours) == len(table._deadlines._soon) == 0


def test_each_ban_of_a_network_ends_at_its_time_although_the_other_is_extended_within_its_hour() -> None:
    table = BanTable([ban(DAY + 10), ban(DAY + 20, jail="b"), ban(DAY + 30, OTHER)])
    table.ban(ban(DAY + 40))
    ends = [
        (unban.network, unban.jail, unban.at) for now in (15, 25, 35, 45) for unban in table.expire(DAY + now)
    ]
    assert ends == [(WHO, "b", DAY + 20), (OTHER, "a", DAY + 30), (WHO, "a", DAY + 40)]


def test_a_ban_that_is_lifted_and_made_again_within_its_hour_ends_in_time() -> None:
    table = BanTable([ban(DAY + 10)])
    table.lift(WHO, 1.0, "manual")
    table.ban(ban(DAY + 5))
    assert [unban.at for unban in table.expire(DAY + 7)] == [DAY + 5]
