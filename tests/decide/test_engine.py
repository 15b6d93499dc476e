"""The decision engine: from a match to events."""

from dataclasses import replace

import pytest

from sidecar.bans.guard import Guard
from sidecar.bans.history import History
from sidecar.bans.register import BanRegister
from sidecar.decide.engine import DecisionEngine
from sidecar.detect.log_clock import effective_time
from sidecar.fail2ban.increment import Increment
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.spec import FilterSpec
from sidecar.model import Ban, Event, Extended, Failure, FailuresCleared, Match, Refused
from sidecar.network import Network

SPEC = JailSpec("a", FilterSpec("f", ()), (), maxretry=2, findtime=600.0, bantime=3600.0, maxmatches=2)
NOW = 10_000.0


def engine(spec: JailSpec = SPEC, **protected: list[Network]) -> DecisionEngine:
    guard = Guard({reason.replace("_", "-"): networks for reason, networks in protected.items()})
    return DecisionEngine([spec], guard, BanRegister(history=History()))


def verdicts(engine: DecisionEngine, host: str | None, at: float, now: float = NOW) -> list[Event]:
    return list(engine.decide(Match("a", host, at, f"line at {at:g}"), at, now))


def test_maxretry_failures_within_findtime_make_a_ban_with_its_evidence() -> None:
    one = engine()
    assert [type(e) for e in verdicts(one, "203.0.113.7", NOW - 5)] == [Failure]
    failure, ban = verdicts(one, "203.0.113.7", NOW)
    assert isinstance(failure, Failure)
    assert isinstance(ban, Ban)
    assert (ban.until, ban.failures, ban.evidence) == (NOW + 3600, 2, ("line at 9995", "line at 10000"))


def test_a_ban_ends_by_the_time_of_the_last_failure_and_none_is_made_that_is_over() -> None:
    one = engine(replace(SPEC, bantime=60.0))
    verdicts(one, "203.0.113.7", NOW - 130)
    # Enough failures for a ban that would have ended: they are dropped and count for no later ban.
    assert [type(e) for e in verdicts(one, "203.0.113.7", NOW - 100)] == [Failure, FailuresCleared]
    verdicts(one, "203.0.113.8", NOW - 40)
    ban = verdicts(one, "203.0.113.8", NOW - 30)[-1]
    assert isinstance(ban, Ban)
    assert ban.until == NOW + 30


def test_a_backlog_older_than_findtime_does_not_count() -> None:
    assert verdicts(engine(), "203.0.113.7", NOW - 600) == []


def test_failures_of_a_client_that_is_banned_for_ever_are_told_and_not_kept() -> None:
    one = engine(replace(SPEC, bantime=None))
    for at in (NOW - 9, NOW - 8):
        verdicts(one, "2001:db8::1", at)
    # As if they had been read from the database: they no longer count.
    client = Network.parse("2001:db8::/64")
    one.restore(Failure("a", client, NOW - 7, "line"))
    assert verdicts(one, "2001:db8::2", NOW - 2) == [
        Failure("a", client, NOW - 2, "line at 9998", kept=False),
        FailuresCleared("a", client),
    ]
    assert verdicts(one, "2001:db8::2", NOW) == [Failure("a", client, NOW, "line at 10000", kept=False)]
    assert list(one.jails["a"].window.failures()) == []
    # Behind an unban they count from the first one on.
    one.register.lift(client, NOW, "manual")
    assert [type(e) for at in (NOW, NOW) for e in verdicts(one, "2001:db8::2", at)] == [Failure, Failure, Ban]


def test_failures_of_a_client_that_another_jail_banned_for_ever_are_kept() -> None:
    one = engine(replace(SPEC, bantime=None))
    client = Network.parse("203.0.113.7")
    one.register.ban(Ban(client, "b", NOW - 9, None, "log"), NOW)
    assert [type(e) for at in (NOW - 5, NOW) for e in verdicts(one, "203.0.113.7", at)] == [
        Failure,
        Failure,
        Ban,
    ]


def test_failures_of_a_banned_client_extend_and_make_no_second_ban() -> None:
    one = engine()
    for at in (NOW - 9, NOW - 8):
        verdicts(one, "203.0.113.7", at)
    verdicts(one, "203.0.113.7", NOW - 2)
    assert isinstance(verdicts(one, "203.0.113.7", NOW)[-1], Extended)
    assert len(one.register.table) == 1


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("999.1.1.1", "invalid-address"),
        ("mail.example.com", "unresolved"),
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
    one = engine(spec, own_address=[Network.parse("10.0.0.1")], gateway=[Network.parse("10.0.0.254")])
    (event,) = verdicts(one, host, NOW)
    assert isinstance(event, Refused)
    assert event.reason == reason


def test_ipv6_is_counted_and_banned_by_64() -> None:
    one = engine()
    verdicts(one, "2001:db8::1", NOW)
    ban = verdicts(one, "2001:db8::ffff:2", NOW)[-1]
    assert isinstance(ban, Ban)
    assert str(ban.network) == "2001:db8::/64"


def test_an_attacker_in_the_host_s_own_64_is_banned_alone() -> None:
    one = engine(gateway=[Network.parse("2001:db8::1")])
    verdicts(one, "2001:db8::7", NOW)
    ban = verdicts(one, "2001:db8::7", NOW)[-1]
    assert isinstance(ban, Ban)
    assert str(ban.network) == "2001:db8::7/128"


def test_an_unban_forgets_what_stood_against_a_client() -> None:
    one = engine()
    verdicts(one, "203.0.113.7", NOW)
    one.forget(Network.parse("203.0.113.7"))
    assert [type(e) for e in verdicts(one, "203.0.113.7", NOW)] == [Failure]


def test_a_dry_run_makes_bans_that_are_marked_so() -> None:
    one = engine(replace(SPEC, dry_run=True))
    verdicts(one, "203.0.113.7", NOW)
    ban = verdicts(one, "203.0.113.7", NOW)[-1]
    assert isinstance(ban, Ban)
    assert ban.dry
    assert list(one.register.table.refused()) == []


def test_a_line_counts_at_its_own_time_unless_that_cannot_be() -> None:
    assert effective_time(None, NOW, live=True) == NOW
    assert effective_time(NOW + 7200, NOW, live=False) == NOW
    assert effective_time(NOW - 7200, NOW, live=False) == NOW - 7200
    assert effective_time(NOW - 7200, NOW, live=True) == NOW
    assert effective_time(NOW - 59, NOW, live=True) == NOW - 59


GROWING = replace(SPEC, maxretry=4, bantime=600.0, increment=Increment())


def bans(one: DecisionEngine, host: str, times: int, at: float) -> list[Ban]:
    events = [
        e for n in range(times) for e in one.decide(Match("a", host, at + n, f"line {n}"), at + n, at + n)
    ]
    return [e for e in events if isinstance(e, Ban)]


def test_each_ban_of_the_same_address_is_longer_and_comes_sooner() -> None:
    one = engine(GROWING)
    lengths = []
    for at, failures in ((0.0, 4), (10_000.0, 2), (20_000.0, 2), (40_000.0, 1)):
        (ban,) = bans(one, "203.0.113.7", failures, at)
        assert ban.until is not None
        lengths.append((ban.until - ban.at, ban.times))
        list(one.register.table.expire(ban.until))
    assert lengths == [(600, 1), (1200, 2), (2400, 3), (4800, 4)]


def test_a_ban_that_stands_goes_on_as_long_again_from_a_new_failure() -> None:
    one = engine(GROWING)
    assert len(bans(one, "203.0.113.7", 4, 0.0)) == 1
    events = [
        e for n in range(4) for e in one.decide(Match("a", "203.0.113.7", 100.0 + n, "x"), 100 + n, 100 + n)
    ]
    longer = [e.ban.until for e in events if isinstance(e, Extended)]
    assert longer[0] is not None
    assert longer[0] - 101 == 600


def test_a_ban_that_a_person_lifted_was_none() -> None:
    one = engine(GROWING)
    bans(one, "203.0.113.7", 4, 0.0)
    one.register.lift(Network.parse("203.0.113.7"), 5.0, "manual")
    (ban,) = bans(one, "203.0.113.7", 4, 100.0)
    assert (ban.until, ban.times) == (703.0, 1)


def test_all_jails_together_make_a_ban_longer_where_a_jail_says_so() -> None:
    everywhere = replace(GROWING, increment=Increment(overalljails=True))
    history = History([(Network.parse("203.0.113.7"), "other", 2, 0.0)])
    one = DecisionEngine([everywhere], Guard({}), BanRegister(history=history))
    (ban,) = bans(one, "203.0.113.7", 2, 100.0)
    assert ban.until is not None
    assert (ban.until - ban.at, ban.times) == (2400, 1)


def test_a_network_that_a_line_names_is_not_banned_over_somebody_whom_the_jail_ignores() -> None:
    one = engine(replace(SPEC, ignoreip=(Network.parse("203.0.113.9"),)))
    (refused,) = verdicts(one, "203.0.113.0/28", NOW)
    assert isinstance(refused, Refused)
    assert refused.reason == "ignored"
