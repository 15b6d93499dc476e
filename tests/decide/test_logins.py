"""Each login and each distinct value counts once, and mailbox.log alone only counts after three failures."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.bans.guard import Guard
from sidecar.bans.register import BanRegister
from sidecar.decide.engine import DecisionEngine
from sidecar.detect.count.corroboration import Corroboration
from sidecar.detect.count.distinct import Distinct
from sidecar.detect.count.duplicate_logins import DuplicateLogins
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.log_paths import LogPath
from sidecar.fail2ban.spec import FilterSpec
from sidecar.model import Failure, LineFacts, Match
from sidecar.network import Network
from tests.decide.judged import events

WHO = Network.parse("203.0.113.7")
MAILBOX, AUDIT = "/opt/zimbra/log/mailbox.log", "/opt/zimbra/log/audit.log"


def test_the_lines_of_one_login_are_one_and_of_two_logins_two() -> None:
    logins = DuplicateLogins()
    assert logins.new(WHO, "bob@example.com", "mailbox account", 100.0)
    assert not logins.new(WHO, "bob@example.com", "mailbox SoapEngine", 100.001)
    assert not logins.new(WHO, "Bob@example.com", "audit security", 100.002)
    assert logins.new(WHO, "bob@example.com", "mailbox account", 100.5)
    assert not logins.new(WHO, "bob@example.com", "mailbox SoapEngine", 100.5)
    assert logins.new(WHO, "carol@example.com", "mailbox SoapEngine", 100.5)
    assert logins.new(Network.parse("203.0.113.8"), "bob@example.com", "mailbox SoapEngine", 100.5)
    assert logins.new(WHO, "bob@example.com", "audit security", 110.0)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20), st.permutations(range(3)))
def test_the_voice_with_the_most_lines_determines_the_number_of_logins(
    times: list[float], order: list[int]
) -> None:
    logins = DuplicateLogins()
    lines = [(at + voice / 1000, f"voice {voice}") for at in sorted(times) for voice in order]
    assert sum(logins.new(WHO, "bob", voice, at) for at, voice in lines) == len(times)


def test_a_value_counts_once_within_findtime() -> None:
    distinct = Distinct(600)
    assert distinct.new(WHO, "a@example.com", 0.0)
    assert not distinct.new(WHO, "A@example.com", 599.0)
    assert distinct.new(WHO, "b@example.com", 1.0)
    assert distinct.new(WHO, "a@example.com", 600.0)


def test_a_forgeable_log_is_confirmed_by_another_log_within_seconds() -> None:
    certainty = Corroboration()
    assert certainty.is_corroborated(WHO, "/var/log/zimbra.log", 0.0)
    assert not certainty.is_corroborated(WHO, MAILBOX, 100.0)
    certainty.see(WHO, AUDIT, 103.0)
    assert certainty.is_corroborated(WHO, MAILBOX, 100.0)
    assert not certainty.is_corroborated(WHO, MAILBOX, 200.0)
    assert not certainty.is_corroborated(Network.parse("203.0.113.8"), MAILBOX, 103.0)


def engine(**options: Any) -> DecisionEngine:
    logs = (LogPath(MAILBOX), LogPath(AUDIT))
    jail = JailSpec("mail", FilterSpec("f", ()), logs, **{"maxretry": 3, "findtime": 600.0, **options})
    reporting = JailSpec("outage", FilterSpec("f", ()), (), report_only=True)
    return DecisionEngine([jail, reporting], Guard({}), BanRegister())


def login(at: float, source: str = MAILBOX, component: str = "SoapEngine", **facts: Any) -> Match:
    told = LineFacts("203.0.113.7", fields={"component": component, **facts.pop("fields", {})}, **facts)
    return Match("mail", "203.0.113.7", at, "line", source, told)


def test_three_failed_web_logins_ban_a_jail_of_lines_and_one_of_logins() -> None:
    lines = [
        login(at + later, component=component, account="bob@example.com")
        for at in (100.0, 110.0, 120.0)
        for later, component in ((0.0, "account"), (0.001, "SoapEngine"))
    ]
    assert events(engine(maxretry=5), *lines).index("ban") == 5
    assert events(engine(maxretry=3, count="logins"), *lines).count("failure") == 3
    assert events(engine(maxretry=3, count="logins"), *lines)[-1] == "ban"


def test_a_login_that_failed_for_another_reason_counts_in_a_jail_of_lines_only() -> None:
    line = login(1.0, account="bob", excused=True)
    assert events(engine(count="logins"), line) == ["not-counted"]
    assert events(engine(), line) == ["failure"]


def test_distinct_recipients_count_but_repeated_ones_do_not() -> None:
    counting = engine(distinct="recipient", maxretry=2)
    again = [
        login(at, source="/var/log/zimbra.log", fields={"to": "x@example.com"}) for at in (1.0, 2.0, 3.0)
    ]
    assert events(counting, *again) == ["failure"]
    assert events(counting, login(4.0, source="/var/log/zimbra.log", fields={"to": "y@example.com"})) == [
        "failure",
        "ban",
    ]


def test_during_an_outage_logins_do_not_count_but_other_failures_do() -> None:
    counting = engine(excused_by="outage", maxretry=9)
    outage = Match("outage", None, 100.0, "saslauthd", "/var/log/zimbra.log", LineFacts())
    failed = login(102.0, source="/var/log/zimbra.log", protocol="smtp")
    assert events(counting, outage, failed) == ["report-only", "not-counted"]
    assert events(counting, login(103.0, source="/var/log/zimbra.log")) == ["failure"]
    assert events(counting, failed._replace(at=120.0)) == ["failure"]


def test_a_line_repeated_by_syslog_counts_as_often_up_to_twenty_times() -> None:
    def repeated(times: str) -> Match:
        return login(1.0, source="/var/log/zimbra.log", fields={"times": times})

    assert events(engine(count="logins", maxretry=3), repeated("3")) == ["failure", "ban"]
    assert events(engine(count="logins", maxretry=21), repeated("999999")) == ["failure"]
    assert events(engine(maxretry=3), repeated("3")) == ["failure"]


@pytest.mark.parametrize("stamp", ["Jan  5 10:00:01", "2026-01-05T10:00:01.123456+00:00"])
def test_a_repeated_line_counts_as_often_after_a_restart_but_a_quoted_one_once(stamp: str) -> None:
    told = (
        f"{stamp} mail postfix/smtps/smtpd[1]: message repeated 2 times: [ warning: h[203.0.113.7]: SASL x ]"
    )
    quoted = (
        f"{stamp} mail postfix/smtpd[1]: warning: h[203.0.113.7]: SASL [1]: message repeated 2 times: [ x"
    )
    for line, expected in ((told, ["failure", "ban"]), (quoted, ["failure"])):
        counting = engine(count="logins", maxretry=3)
        counting.restore(Failure("mail", WHO, 1.0, line))
        assert events(counting, login(2.0, source="/var/log/zimbra.log")) == expected


def test_the_additional_logging_of_a_login_in_audit_log_is_not_a_second_login() -> None:
    counting = engine(maxretry=2, count="logins")
    ways = ("Error occurred during authentication: x", "cmd=Auth; account=bob; x")
    lines = [
        login(at, AUDIT, account="bob", component="security", fields={"message": way})
        for at in (100.0, 101.0)
        for way in ways
    ]
    assert events(counting, *lines[:2]) == ["failure"]
    assert events(counting, *lines[2:]) == ["failure", "ban"]


@pytest.mark.parametrize("retries", [1, 2])
def test_mailbox_log_alone_bans_after_three_whatever_the_jail_says(retries: int) -> None:
    counting = engine(maxretry=retries)
    assert events(counting, login(1.0), login(2.0)) == ["unconfirmed", "unconfirmed"]
    assert events(counting, login(3.0)) == ["failure", "ban"]


def test_failures_of_mailbox_log_count_once_audit_log_confirms_them() -> None:
    # mailbox.log is read first; the line of audit.log is the same login, but confirms it.
    counting = engine(maxretry=1, count="logins")
    assert events(counting, login(100.0, account="bob")) == ["unconfirmed"]
    assert events(counting, login(100.1, source=AUDIT, account="bob", component="security")) == [
        "failure",
        "ban",
    ]
    late = engine(maxretry=1)
    assert events(late, login(100.0), login(110.0, source=AUDIT)) == ["unconfirmed", "failure", "ban"]
    assert len(late.jails["mail"].unconfirmed_window) == 1


@pytest.mark.parametrize("order", [1, -1])
def test_a_request_in_the_access_log_confirms_but_does_not_count(order: int) -> None:
    logs = (LogPath("/opt/zimbra/log/nginx.access.log"),)
    requests = JailSpec("requests", FilterSpec("f", ()), logs, confirms=True)
    mail = JailSpec("mail", FilterSpec("f", ()), (LogPath(MAILBOX),), maxretry=1)
    counting = DecisionEngine([mail, requests], Guard({}), BanRegister())
    request = Match("requests", "203.0.113.7", 99.0, "line", logs[0].glob, LineFacts("203.0.113.7"))
    assert events(counting, request._replace(at=50.0)) == []
    both = [login(100.0), request][::order]
    assert [event for event in events(counting, *both) if event != "unconfirmed"] == ["failure", "ban"]


@pytest.mark.parametrize("length", [48, 64, 128])
def test_the_confirmed_network_depends_on_the_prefix_of_the_jail(length: int) -> None:
    logs = (LogPath("/opt/zimbra/log/nginx.access.log"),)
    requests = JailSpec("requests", FilterSpec("f", ()), logs, confirms=True)
    mail = JailSpec("mail", FilterSpec("f", ()), (LogPath(MAILBOX),), maxretry=1, ipv6_prefix=length)
    counting = DecisionEngine([mail, requests], Guard({}), BanRegister())
    who = "2001:db8:1:2::3"
    request = Match("requests", who, 99.0, "line", logs[0].glob, LineFacts(who))
    assert events(counting, login(100.0)._replace(host=who), request) == ["unconfirmed", "failure", "ban"]


def test_a_password_spray_in_a_forgeable_log_does_not_ban_at_once() -> None:
    def tried(source: str) -> list[str]:
        lines = [login(float(n), source, account="bob")._replace(host=f"198.51.100.{n}") for n in range(1, 6)]
        return events(engine(count="logins", most_addresses=3), *lines)

    assert "ban" in tried(AUDIT)
    assert "ban" not in tried(MAILBOX)


def test_mailbox_log_counts_when_audit_log_names_the_same_client() -> None:
    counting = engine(maxretry=2)
    assert events(counting, login(1.0, source=AUDIT), login(2.0)) == ["failure", "failure", "ban"]
