"""Enforcement is verified by route lookups, not assumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.bans.table import BanTable
from sidecar.model import Ban, Failure
from sidecar.network import Network
from tests.app.running import Running, in_process, service, until
from tests.app.test_service import EVIL, blackholes
from tests.netns import Namespace

pytestmark = pytest.mark.kernel


def reasons(running: Running) -> list[str]:
    return list(running.ask("status")[0]["not_enforced_because"])


@pytest.mark.parametrize(
    ("family", "attacker", "banned"),
    [("-4", EVIL, f"{EVIL}/32"), ("-6", "2001:db8:7::7", "2001:db8:7::/64")],
    ids=["ipv4", "ipv6"],
)
def test_a_rule_in_front_of_ours_that_lets_the_banned_in_is_found_out(
    host: Namespace, tmp_path: Path, family: str, attacker: str, banned: str
) -> None:
    host.wire("mail0", "192.0.2.1/24", "2001:db8:f::1/64")
    host.ip("route", "add", "default", "via", "192.0.2.2")
    host.ip("-6", "route", "add", "default", "via", "2001:db8:f::2")
    with service(tmp_path) as running:
        running.attack(attacker)
        until(lambda: len(blackholes(host)) == 1)
        assert reasons(running) == []
        host.ip(family, "rule", "add", "pref", "99", "table", "main")
        until(lambda: running.metric("zmban_enforced") == 0)
        told = f"{banned} is banned, but the kernel has a route to it; the rule at 99 is asked before ours"
        assert told in reasons(running)
        assert "the kernel has a route to it" in running.get("/readyz")[1]
        host.ip(family, "rule", "del", "pref", "99")
        until(lambda: running.metric("zmban_enforced") == 1)
        assert reasons(running) == []


def test_who_is_kept_reachable_under_a_wide_ban_is_no_fault(host: Namespace, tmp_path: Path) -> None:
    host.wire("mail0", "198.51.100.1/24")
    host.ip("route", "add", "default", "via", "198.51.100.254")
    with service(tmp_path) as running:
        running.ask("ban", "198.51.0.0/16", "--reason", "x", "--yes")
        running.ask("ban", "203.0.112.0/22", "--reason", "x", "--yes")
        running.ask("allow", "203.0.112.0", "--reason", "x")
        until(lambda: {"198.51.0.0/16", "203.0.112.0/22"} <= blackholes(host))
        assert reasons(running) == []
        assert running.metric("zmban_enforced") == 1


def test_a_host_that_knows_a_way_to_nobody_proves_nothing_and_says_so(
    host: Namespace, tmp_path: Path
) -> None:
    host.wire("mail0", "192.0.2.1/24")
    host.ip("route", "add", "default", "via", "192.0.2.2")
    with service(tmp_path) as running:
        state = running.ask("status")[0]
        assert state["enforced"]
        told = "the kernel has no route to any IPv{} address, so refused lookups prove nothing"
        assert [told.format(6)] == state["doubts"]
        host.ip("-6", "route", "add", "default", "dev", "mail0")
        until(lambda: running.ask("status")[0]["doubts"] == [])


def test_somebody_elses_route_that_refuses_who_must_be_reachable_is_told(
    host: Namespace, tmp_path: Path
) -> None:
    host.wire("mail0", "192.0.2.1/24", "2001:db8:f::1/64")
    host.ip("route", "add", "default", "via", "192.0.2.2")
    host.ip("-6", "route", "add", "default", "via", "2001:db8:f::2")
    with service(tmp_path, settings='[trust]\nadmins = ["198.18.5.7"]\n') as running:
        assert running.ask("status")[0]["doubts"] == []
        host.ip("route", "add", "blackhole", "198.18.5.0/24")
        told = "198.18.5.7/32 must be reachable, but a route of another program refuses it"
        until(lambda: told in running.ask("status")[0]["doubts"])
        assert running.ask("status")[0]["enforced"]


async def test_a_live_line_of_a_client_who_has_been_banned_for_a_while_is_a_reason(
    host: Namespace, tmp_path: Path
) -> None:
    who, other = Network.parse(EVIL), Network.parse("198.51.100.99")
    async with in_process(tmp_path, dry_run=False) as one:
        one.parts.leaks._started = 1000.0
        one.ban(Ban(who, "smtp", 1000.0, None, "log"))
        told = [Failure("smtp", who, 1009.0, ""), Failure("smtp", other, 1020.0, "")]
        one.bus.publish(told, live=True)
        # A backlog was written before.
        one.bus.publish([Failure("smtp", who, 1011.0, "")])
        assert not (await one.verifier.verify()).missing
        one.bus.publish([Failure("smtp", who, 1011.0, "")], live=True)
        (reason,) = (await one.verifier.verify()).missing
        assert b'zmban_still_seen_total{jail="smtp"} 1.0' in one.metrics.taken()()[0]
        assert reason.startswith("a line of banned clients after their bans")
        await one.tell("flush")
        one.bus.publish([Failure("smtp", who, 1012.0, "")], live=True)
        assert b'zmban_still_seen_total{jail="smtp"} 1.0' in one.metrics.taken()()[0]


def test_a_client_under_a_wider_ban_has_been_refused_since_that_began() -> None:
    table = BanTable([Ban(Network.parse("203.0.113.0/24"), "manual", 5.0, None, "manual")])
    table.ban(Ban(Network.parse("203.0.113.7"), "smtp", 9.0, None, "log"))
    assert table.refused_since(Network.parse("203.0.113.7")) == 5.0
    # Without the wider one, by its own; without both, not at all.
    table.rest([(Network.parse("203.0.113.0/24"), "manual")])
    assert table.refused_since(Network.parse("203.0.113.7")) == 9.0
    table.rest([(Network.parse("203.0.113.0/24"), "manual"), (Network.parse("203.0.113.7"), "smtp")])
    assert table.refused_since(Network.parse("203.0.113.7")) is None
    table.ban(Ban(Network.parse("203.0.113.7"), "dry", 3.0, None, "log", dry=True))
    assert table.refused_since(Network.parse("203.0.113.7")) is None
    table.rest(())
    assert table.refused_since(Network.parse("203.0.113.7")) == 5.0
    assert table.refused_since(Network.parse("203.0.114.7")) is None
