"""Networks with many offenders are suggested for a manual ban; each offender counts once."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.app.report.proposals import proposals
from sidecar.network import Network
from tests.app.running import service
from tests.netns import Namespace


def four(network: str, many: int) -> list[Network]:
    return [Network.parse(f"{network}.{number}") for number in range(1, many + 1)]


def six(beginning: str, many: int) -> list[Network]:
    return [Network.parse(f"{beginning}{number:02x}::/64") for number in range(many)]


def told(banned: list[Network]) -> dict[str, int]:
    return {str(network): many for network, many in proposals(banned)}


def test_a_24_with_eight_offenders_is_proposed_and_one_with_seven_is_not() -> None:
    assert told(four("198.51.100", 7) + four("203.0.113", 8)) == {"203.0.113.0/24": 8}


def test_what_is_banned_whole_already_is_not_proposed() -> None:
    banned = four("203.0.113", 20) + four("198.51.100", 20)
    wide = [Network.parse("203.0.0.0/16"), Network.parse("198.51.100.0/24")]
    assert told(banned) == {"198.51.100.0/24": 20, "203.0.113.0/24": 20}
    assert told(banned + wide) == {}


def test_of_ipv6_the_narrow_network_is_proposed_and_the_wide_one_for_those_outside_it() -> None:
    narrow = six("2001:db8:1:11", 4)
    assert told(narrow) == {"2001:db8:1:1100::/56": 4}
    spread = [Network.parse(f"2001:db8:1:{number:02x}00::/64") for number in range(0x20, 0x28)]
    assert told(narrow + spread) == {"2001:db8:1::/48": 8, "2001:db8:1:1100::/56": 4}


def test_the_worst_come_first_and_only_a_few() -> None:
    banned = [network for third in range(9) for network in four(f"10.0.{third}", 10 + third)]
    assert list(told(banned)) == [f"10.0.{third}.0/24" for third in range(8, 3, -1)]


@pytest.mark.kernel
def test_status_says_what_the_ban_would_mean(host: Namespace, tmp_path: Path) -> None:
    host.wire("mail0", "192.0.2.1/24")
    with service(tmp_path) as running:
        running.ask("allow", "203.0.113.200", "--reason", "x")
        running.ask("ban", *(f"203.0.113.{number}" for number in range(8)), "--reason", "x")
        (proposal,) = running.ask("status")[0]["proposals"]
        assert proposal == {
            "network": "203.0.113.0/24", "banned": 8, "addresses": 256, "bans": 8, "kept_reachable": 1,
            "good_logins": 0, "delivered_to": 0,
        }  # fmt: skip
