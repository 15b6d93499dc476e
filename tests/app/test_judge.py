"""From a match to a verdict."""

from dataclasses import replace

import pytest

from sidecar.app.judge import Judge, settle
from sidecar.bans.guard import Guard
from sidecar.bans.table import BanTable
from sidecar.fail2ban.filters import FilterSpec
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Ban, Event, Extended, Failure, Match, Network, Refused, Spent

SPEC = JailSpec("a", FilterSpec("f", ()), (), maxretry=2, findtime=600.0, bantime=3600.0, maxmatches=2)
NOW = 10_000.0


def judge(spec: JailSpec = SPEC, **protected: list[Network]) -> Judge:
    guard = Guard({reason.replace("_", "-"): networks for reason, networks in protected.items()})
    return Judge([spec], guard, BanTable())


def verdicts(judge: Judge, host: str | None, at: float, now: float = NOW) -> list[Event]:
    return list(judge.judge(Match("a", host, at, f"line at {at:g}"), at, now))


def test_maxretry_failures_within_findtime_make_a_ban_with_its_evidence() -> None:
    one = judge()
    assert [type(e) for e in verdicts(one, "203.0.113.7", NOW - 5)] == [Failure]
    failure, ban = verdicts(one, "203.0.113.7", NOW)
    assert isinstance(failure, Failure)
    assert isinstance(ban, Ban)
    assert (ban.until, ban.failures, ban.evidence) == (NOW + 3600, 2, ("line at 9995", "line at 10000"))


def test_a_ban_ends_by_the_time_of_the_last_failure_and_none_is_made_that_is_over() -> None:
    one = judge(replace(SPEC, bantime=60.0))
    verdicts(one, "203.0.113.7", NOW - 130)
    # Enough failures for a ban that would be over: they are spent, and count for no later one.
    assert [type(e) for e in verdicts(one, "203.0.113.7", NOW - 100)] == [Failure, Spent]
    verdicts(one, "203.0.113.8", NOW - 40)
    ban = verdicts(one, "203.0.113.8", NOW - 30)[-1]
    assert isinstance(ban, Ban)
    assert ban.until == NOW + 30


def test_a_backlog_older_than_findtime_does_not_count() -> None:
    assert verdicts(judge(), "203.0.113.7", NOW - 600) == []


def test_failures_of_a_banned_client_extend_and_make_no_second_ban() -> None:
    one = judge()
    for at in (NOW - 9, NOW - 8):
        verdicts(one, "203.0.113.7", at)
    verdicts(one, "203.0.113.7", NOW - 2)
    assert isinstance(verdicts(one, "203.0.113.7", NOW)[-1], Extended)
    assert len(one.table) == 1


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("999.1.1.1", "invalid-address"),
        ("mail.example.com", "invalid-address"),
        (None, "no-address"),
        ("127.0.0.1", "reserved"),
        ("0.0.0.0", "reserved"),
        ("10.0.0.1", "own-address"),
        ("10.0.0.254", "gateway"),
        ("198.51.100.9", "ignored"),
    ],
)
def test_whom_no_ban_may_touch_is_refused_and_counted(host: str | None, reason: str) -> None:
    spec = replace(SPEC, ignoreip=(Network.parse("198.51.100.0/24"),))
    one = judge(spec, own_address=[Network.parse("10.0.0.1")], gateway=[Network.parse("10.0.0.254")])
    (event,) = verdicts(one, host, NOW)
    assert isinstance(event, Refused)
    assert event.reason == reason


def test_ipv6_is_counted_and_banned_by_64() -> None:
    one = judge()
    verdicts(one, "2001:db8::1", NOW)
    ban = verdicts(one, "2001:db8::ffff:2", NOW)[-1]
    assert isinstance(ban, Ban)
    assert str(ban.network) == "2001:db8::/64"


def test_an_attacker_in_the_host_s_own_64_is_banned_alone() -> None:
    one = judge(gateway=[Network.parse("2001:db8::1")])
    verdicts(one, "2001:db8::7", NOW)
    ban = verdicts(one, "2001:db8::7", NOW)[-1]
    assert isinstance(ban, Ban)
    assert str(ban.network) == "2001:db8::7/128"


def test_an_unban_forgets_what_stood_against_a_client() -> None:
    one = judge()
    verdicts(one, "203.0.113.7", NOW)
    one.forget(Network.parse("203.0.113.7"))
    assert [type(e) for e in verdicts(one, "203.0.113.7", NOW)] == [Failure]


def test_a_dry_run_makes_bans_that_are_marked_so() -> None:
    one = judge(replace(SPEC, dry_run=True))
    verdicts(one, "203.0.113.7", NOW)
    ban = verdicts(one, "203.0.113.7", NOW)[-1]
    assert isinstance(ban, Ban)
    assert ban.dry
    assert list(one.table.refused()) == []


def test_a_line_counts_at_its_own_time_unless_that_cannot_be() -> None:
    assert settle(None, NOW, live=True) == NOW
    assert settle(NOW + 7200, NOW, live=False) == NOW
    assert settle(NOW - 7200, NOW, live=False) == NOW - 7200
    assert settle(NOW - 7200, NOW, live=True) == NOW
    assert settle(NOW - 59, NOW, live=True) == NOW - 59
