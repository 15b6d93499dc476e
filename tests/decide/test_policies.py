"""The policies: asked in one visible order, the first answer decides; a failure of another host is asked the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sidecar.bans.guard import Guard
from sidecar.bans.history import NEVER
from sidecar.bans.register import BanRegister
from sidecar.decide.engine import DecisionEngine
from sidecar.decide.jail_state import JailState
from sidecar.decide.known_good import KnownGood
from sidecar.decide.outcome import CountIn, Refuse, Silent
from sidecar.decide.policies import Case, Policies
from sidecar.detect.count.corroboration import Corroboration
from sidecar.detect.count.evidence import Evidence
from sidecar.detect.count.window import ThresholdReached
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.spec import FilterSpec
from sidecar.model import Ban, LineFacts, Match, Refused
from sidecar.network import Network
from sidecar.settings import GoodSettings

WHO, NOW, DAY = Network.parse("203.0.113.7"), 100_000.0, 86400.0
SPEC = JailSpec("mail", FilterSpec("f", ()), (), maxretry=2, findtime=600.0, bantime=3600.0)
LOGINS = replace(SPEC, count="logins")
BOB = LineFacts("203.0.113.7", None, "bob", "imap")


class Asked:
    """The policies, and one jail to ask them about."""

    def __init__(self, spec: JailSpec = LOGINS) -> None:
        self.known_good = KnownGood(lasts=DAY)
        self.corroboration = Corroboration()
        self.policies = Policies(self.known_good, self.corroboration, GoodSettings())
        self.jail = JailState(spec, Evidence(), Guard({}), patience=3)

    def case(self, facts: LineFacts | None = BOB, source: str = "/var/log/zimbra.log", **more: Any) -> Case:
        case = Case(self.jail, WHO, NOW, NOW, "line", NEVER, WHO.address, facts, source)
        for name, value in more.items():
            setattr(case, name, value)
        return case

    def counting(self, case: Case) -> tuple[str, Any]:
        """The name of the policy that decides where a failure counts, and its answer."""
        for policy in self.policies.counting:
            if policy.applies(self.jail) and (answer := policy.rule(case)) is not None:
                return policy.name, answer
        return "", None

    def banning(self, case: Case) -> tuple[str, Any]:
        for policy in self.policies.banning:
            if policy.applies(self.jail) and (answer := policy.rule(case)) is not None:
                return policy.name, answer
        return "", None


def test_without_an_objection_a_failure_counts_like_any_other() -> None:
    asked = Asked()
    assert asked.counting(asked.case()) == ("", None)
    assert asked.banning(asked.case(until=NOW + 1)) == ("", None)


def test_a_mail_server_is_spared_only_where_the_jail_spares_mail_servers() -> None:
    for spec, answer in ((SPEC, None), (replace(SPEC, spare_peers=True), Refuse("known-good"))):
        asked = Asked(spec)
        asked.known_good.learn(WHO, "", NOW)
        assert asked.counting(asked.case())[1] == answer


def test_a_login_that_failed_during_an_outage_counts_for_nobody() -> None:
    asked = Asked(replace(LOGINS, excused_by="outage"))
    asked.policies.report("outage", NOW - 4)
    assert asked.counting(asked.case()) == ("outage", Refuse("not-counted"))
    asked.policies.report("outage", NOW - 6)
    assert asked.counting(asked.case()) == ("", None)
    # What is no login happened for another reason.
    asked.policies.report("outage", NOW)
    assert asked.counting(asked.case(BOB._replace(protocol=""))) == ("", None)


def test_a_locked_account_is_not_the_client_s_fault() -> None:
    asked = Asked()
    assert asked.counting(asked.case(BOB._replace(excused=True))) == ("excused login", Refuse("not-counted"))


def test_a_value_that_was_tried_before_is_no_other_one() -> None:
    asked = Asked(replace(SPEC, distinct="user"))
    assert asked.counting(asked.case()) == ("", None)
    assert asked.counting(asked.case()) == ("repeated value", Silent.DUPLICATE)
    assert asked.counting(asked.case(BOB._replace(account="carol"))) == ("", None)


def test_a_known_good_client_has_a_window_of_its_own_for_its_own_account() -> None:
    asked = Asked()
    asked.known_good.learn(WHO, "bob", NOW)
    assert asked.counting(asked.case()) == ("known good", CountIn(asked.jail.known_good_window, "known-good"))
    assert asked.counting(asked.case(BOB._replace(account="carol"))) == ("", None)
    # It tried another account: it is known no more.
    assert asked.counting(asked.case()) == ("", None)


def test_one_of_many_addresses_that_try_one_account_is_banned_at_once() -> None:
    asked = Asked(replace(LOGINS, most_addresses=3))
    for number in (1, 2):
        asked.policies.spray.see(Network.parse(f"198.51.100.{number}"), "bob", NOW)
    assert asked.counting(asked.case()) == ("ban password spray", ThresholdReached(1, ("line",), NOW))


def test_a_forgeable_log_alone_counts_in_a_window_of_its_own() -> None:
    asked = Asked()
    case = asked.case(source="/opt/zimbra/log/mailbox.log")
    assert asked.counting(case) == ("unconfirmed", CountIn(asked.jail.unconfirmed_window, "unconfirmed"))
    asked.corroboration.see(WHO, "/opt/zimbra/log/audit.log", NOW)
    assert asked.counting(case) == ("", None)


def test_no_log_bans_the_network_of_an_administrator_s_session() -> None:
    asked = Asked()
    asked.policies.admins = {WHO}
    assert asked.banning(asked.case()) == ("admin session", Refuse("admin-session", clears=True))


def test_known_good_clients_banned_in_a_row_stop_the_jail_and_the_first_ban_is_short() -> None:
    asked = Asked()
    for number in range(6):
        asked.known_good.learn(WHO, "bob", NOW)
        asked.known_good.clients._spoilt.clear()
        case = asked.case(until=NOW + 10_000)
        name, answer = asked.banning(case)
        if number < 5:
            assert (name, answer) == ("", None)
            assert case.until == NOW + GoodSettings().first_ban
        else:
            assert (name, answer) == ("brake", Refuse("brake"))


def test_a_ban_that_would_be_over_is_none() -> None:
    asked = Asked()
    assert asked.banning(asked.case(until=NOW)) == ("over already", Silent.OVER)


def engine(spec: JailSpec = SPEC, **protected: list[Network]) -> DecisionEngine:
    return DecisionEngine([spec], Guard(protected), BanRegister())


def test_failures_that_hosts_counted_together_ban_with_the_evidence_of_this_host() -> None:
    one = engine()
    one.gathered = []
    (seen,) = one.decide(Match("mail", WHO.address, NOW, "a line of this host"), NOW, NOW)
    assert one.gathered == [(seen, 1)]
    (ban,) = one.decide_together("mail", WHO, NOW, NOW, 5)
    assert isinstance(ban, Ban)
    assert (ban.network, ban.failures, ban.evidence) == (WHO, 5, ("a line of this host",))
    assert one.register.table.stands(WHO) and one.jails["mail"].window.count(WHO) == 0


def test_a_jail_that_shares_no_counts_and_failures_that_a_policy_counts_elsewhere_are_not_gathered() -> None:
    for spec in (replace(SPEC, shared="bans"), replace(SPEC, spare_peers=True)):
        one = engine(spec)
        one.gathered = []
        one.known_good.keep_for(DAY)
        one.known_good.learn(WHO, "", NOW)
        one.decide(Match("mail", WHO.address, NOW, "a line"), NOW, NOW)
        assert one.gathered == []


@pytest.mark.parametrize("network", [WHO, Network.parse("203.0.113.0/24")])
def test_our_own_guard_holds_against_what_hosts_counted_together(network: Network) -> None:
    one = engine(gateway=[Network.parse("203.0.113.0/24")])
    (refused,) = one.decide_together("mail", network, NOW, NOW, 5)
    assert isinstance(refused, Refused)
    assert refused.reason == "gateway"


def test_what_hosts_counted_too_long_ago_or_for_a_jail_that_is_not_here_is_nothing() -> None:
    one = engine()
    assert one.decide_together("mail", WHO, NOW - 600, NOW, 5) == ()
    assert one.decide_together("other", WHO, NOW, NOW, 5) == ()
