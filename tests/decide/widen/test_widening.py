"""A prefix is banned as a whole while enough of its units are banned, and nobody innocent is inside."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from dataclasses import replace

import pytest

from sidecar.bans.guard import Guard
from sidecar.bans.packing import is_widened
from sidecar.bans.register import BanRegister
from sidecar.bans.table import BanTable
from sidecar.decide.engine import DecisionEngine
from sidecar.decide.known_good import KnownGood
from sidecar.decide.widen.unit_index import UnitIndex
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.spec import FilterSpec
from sidecar.fail2ban.zmban_options import WidenRule
from sidecar.model import Ban, Extended, Match, Refused, Unban
from sidecar.network import Network, PrefixSet
from sidecar.records import Decision

NOW, DAY = 1_000_000.0, 86400.0
WHOLE = Network.parse("203.0.113.0/24")
WEEK = WidenRule(24, 3, 7 * DAY, "7d")
SPEC = JailSpec("smtp", FilterSpec("f", ()), (), maxretry=1, findtime=DAY, bantime=30 * DAY, widen=(WEEK,))


def engine(*specs: JailSpec, guard: Guard | None = None, good: KnownGood | None = None) -> DecisionEngine:
    return DecisionEngine(specs or [SPEC], guard or Guard({}), BanRegister(), good)


def attack(one: DecisionEngine, hosts: Iterable[str], at: float = NOW, jail: str = "smtp") -> list[object]:
    """What failures of these hosts lead to, one at a time."""
    return [e for host in hosts for e in one.decide(Match(jail, host, at, f"{host} failed"), at, at)]


def hosts(*last: int) -> list[str]:
    return [f"203.0.113.{one}" for one in last]


def whole(events: Iterable[object]) -> list[Decision]:
    """The events about whole prefixes."""
    return [event for event in events if _is_about_a_prefix(event)]  # type: ignore[misc]


def _is_about_a_prefix(event: object) -> bool:
    match event:
        case Ban() | Unban():
            return not event.network.single and event.network.version == 4
        case Extended():
            return is_widened(event.ban)
        case Refused():
            return event.reason.startswith("widen-")
    return False


def checked(one: DecisionEngine, now: float) -> list[Decision]:
    return [event for events in one.widening.recheck(now) for event in events]


def test_the_unit_that_makes_them_enough_bans_the_prefix_with_a_line_about_each_reason() -> None:
    one = engine()
    assert whole(attack(one, hosts(1, 2, 2))) == []
    (ban,) = whole(attack(one, hosts(9), NOW + 5))
    assert isinstance(ban, Ban)
    assert (ban.network, ban.jail, ban.origin, ban.at) == (WHOLE, "smtp", "log", NOW + 5)
    assert (ban.reason, ban.failures) == ("widened: 3 units banned in 7d", 3)
    assert ban.evidence == tuple(f"{h}/32 smtp: {h} failed" for h in hosts(9, 1, 2))


def test_it_ends_when_too_few_of_its_reasons_are_left_and_more_reasons_extend_it() -> None:
    one = engine()
    for day, last in enumerate((1, 2, 3)):
        attack(one, hosts(last), NOW + day * DAY)
    ban = one.register.table.of(WHOLE, "smtp")
    assert ban and ban.until == NOW + 30 * DAY
    attack(one, hosts(4), NOW + 20 * DAY)
    # The first of four is to spare now. The end moves before the old end can lift the ban.
    events = whole(one.expire(NOW + 30 * DAY))
    assert [event.ban.until for event in events if isinstance(event, Extended)] == [NOW + 31 * DAY]
    assert len(events) == 1
    ended = {e.network: e.reason for e in one.expire(NOW + 31 * DAY) if isinstance(e, Unban)}
    assert ended == {WHOLE: "expired", Network.parse("203.0.113.2"): "expired"}
    assert [str(n) for n in one.register.table.networks()] == ["203.0.113.3/32", "203.0.113.4/32"]


def test_a_reason_that_is_lifted_or_suspended_shortens_it_or_lifts_it_at_once() -> None:
    one = engine(replace(SPEC, bantime=None))
    attack(one, hosts(1, 2, 3))
    attack(one, hosts(4), NOW + 1)
    one.register.lift(Network.parse("203.0.113.1"), NOW + 2, "manual")
    assert whole(one.expire(NOW + 2)) == []
    one.register.rest([(Network.parse("203.0.113.2"), "smtp")])
    assert [(e.network, e.reason) for e in one.expire(NOW + 3) if isinstance(e, Unban)] == [(WHOLE, "shrunk")]
    assert len(one.register.table) == 3
    # Of three that end at different times, the first one ends it; without a fourth it ends earlier.
    two = engine(replace(SPEC, bantime=DAY))
    for hour, last in enumerate((1, 2, 3, 4)):
        attack(two, hosts(last), NOW + hour * 3600)
    two.expire(NOW + 4 * 3600)
    ban = two.register.table.of(WHOLE, "smtp")
    assert ban and ban.until == NOW + DAY + 3600
    two.register.lift(Network.parse("203.0.113.4"), NOW + 5 * 3600, "manual")
    (moved,) = two.expire(NOW + 5 * 3600)
    assert isinstance(moved, Extended) and moved.ban.until == NOW + DAY


def test_units_that_were_banned_too_long_ago_do_not_count() -> None:
    one = engine(replace(SPEC, bantime=None))
    attack(one, hosts(1, 2), NOW - 8 * DAY)
    assert whole(attack(one, hosts(3))) == []
    assert len(whole(attack(one, hosts(4, 5)))) == 1


def test_a_wide_rule_counts_the_units_in_narrow_prefixes_and_not_their_bans() -> None:
    rules = (WEEK, WidenRule(22, 5, 30 * DAY, "30d"))
    one = engine(replace(SPEC, widen=rules))
    attack(one, [*hosts(1, 2, 3), "203.0.112.1"])
    assert [ban.network for ban in one.register.table if is_widened(ban)] == [WHOLE]
    (ban,) = whole(attack(one, ["203.0.112.2"]))
    assert isinstance(ban, Ban) and str(ban.network) == "203.0.112.0/22"
    assert ban.reason == "widened: 5 units banned in 30d"


def test_an_ipv6_host_network_is_one_unit_whatever_is_banned_in_it() -> None:
    rule = WidenRule(56, 2, DAY, "1d")
    one = engine(replace(SPEC, widen=(rule,), ipv6_prefix=128))
    assert len(attack(one, ["2001:db8::1", "2001:db8::2", "2001:db8::3"])) == 6
    (_, _, ban) = attack(one, ["2001:db8:0:1::1"])
    assert isinstance(ban, Ban) and str(ban.network) == "2001:db8::/56"


def test_bans_of_jails_without_the_option_manual_and_imported_ones_do_not_count() -> None:
    other = replace(SPEC, name="other", widen=())
    one = engine(SPEC, other)
    attack(one, hosts(1, 2), jail="other")
    for last, origin in ((3, "manual"), (4, "import")):
        network = Network.parse(hosts(last)[0])
        one.register.ban(Ban(network, "smtp", NOW, None, origin), NOW)  # type: ignore[arg-type]
    assert whole(attack(one, hosts(5, 6))) == []
    # A ban that another host of the cluster decided counts as one of this host.
    one.register.ban(Ban(Network.parse(hosts(7)[0]), "smtp", NOW, None, "cluster"), NOW)
    assert len(whole(one.expire(NOW))) == 1


def test_two_jails_with_the_option_count_together_and_the_last_one_names_the_ban() -> None:
    one = engine(SPEC, replace(SPEC, name="web"))
    attack(one, hosts(1, 2))
    (ban,) = whole(attack(one, hosts(3), NOW + 1, "web"))
    assert isinstance(ban, Ban) and ban.jail == "web"


def test_dry_bans_lead_to_a_dry_ban_which_an_enforced_one_replaces() -> None:
    one = engine(SPEC, replace(SPEC, name="trial", dry_run=True))
    attack(one, hosts(1, 2), jail="trial")
    (dry,) = whole(attack(one, hosts(3)))
    assert isinstance(dry, Ban) and dry.dry
    events = whole([*attack(one, hosts(4, 5)), *one.expire(NOW)])
    assert [event.dry for event in events if isinstance(event, Ban)] == [False]
    assert one.register.table.stands(WHOLE)


def spared(one: DecisionEngine, case: str) -> None:
    """Put somebody into the prefix who must not be cut off."""
    inside = Network.parse("203.0.113.99")
    if case in ("own-address", "ignored"):
        one.spare(Guard({case: [inside]}), PrefixSet())
    elif case == "around":
        one.spare(Guard({}), PrefixSet(), [Network.parse("203.0.112.0/20")])
    elif case == "suspect":
        one.spare(Guard({}), PrefixSet([inside]))
    elif case == "reachable":
        one.spare(Guard({}), PrefixSet(), [Network.parse("203.0.113.96/28")])
    elif case == "ignoreip":
        one.ignore("web", [inside])
    elif case == "admin":
        one.spare_admins([inside])
    elif case == "client":
        one.known_good.learn(inside, "bob@example.com", NOW)
    elif case == "mail server":
        one.known_good.learn(inside, "", NOW)
    else:
        one.spare(Guard({}, {4: 25, 6: 32}), PrefixSet())


REASONS = {
    **dict.fromkeys(["own-address", "ignored", "around", "suspect", "reachable"], "widen-protected"),
    **dict.fromkeys(["ignoreip", "admin"], "widen-protected"),
    **dict.fromkeys(["client", "mail server"], "widen-known-good"),
    "wide": "widen-too-wide",
}


@pytest.mark.parametrize(("case", "reason"), REASONS.items())
def test_a_prefix_with_somebody_to_spare_is_not_banned_and_told_once_an_hour(case: str, reason: str) -> None:
    one = engine(SPEC, replace(SPEC, name="web"), good=KnownGood(DAY))
    spared(one, case)
    (refused,) = whole(attack(one, hosts(1, 2, 3, 4, 5)))
    assert isinstance(refused, Refused)
    assert (refused.host, refused.jail, refused.reason) == (str(WHOLE), "smtp", reason)
    assert refused.line
    attack(one, hosts(6), NOW + 3599)
    assert whole(one.expire(NOW + 3599)) == checked(one, NOW + 3599) == []
    attack(one, hosts(7), NOW + 3600)
    assert len(whole(one.expire(NOW + 3600))) == 1
    # Hours later nothing new happened inside: nothing is told.
    assert checked(one, NOW + 9000) == []
    assert one.register.table.all_of(WHOLE) == []


@pytest.mark.parametrize(("case", "reason"), REASONS.items())
def test_a_banned_prefix_in_which_somebody_to_spare_appears_is_let_go_at_the_next_look(
    case: str, reason: str
) -> None:
    one = engine(SPEC, replace(SPEC, name="web"), good=KnownGood(DAY))
    attack(one, hosts(1, 2, 3))
    assert checked(one, NOW) == []
    spared(one, case)
    unban, refused = checked(one, NOW + 1)
    assert isinstance(unban, Unban) and (unban.network, unban.reason) == (WHOLE, "shrunk")
    assert isinstance(refused, Refused) and refused.reason == reason
    assert len(one.register.table) == 3


def test_a_prefix_is_banned_after_all_when_the_objection_ends_while_its_reasons_are_new() -> None:
    one = engine(good=KnownGood(DAY))
    spared(one, "ignored")
    attack(one, hosts(1, 2, 3))
    one.spare(Guard({}), PrefixSet())
    (ban,) = checked(one, NOW + DAY)
    assert isinstance(ban, Ban) and ban.at == NOW + DAY


def test_nobody_watches_the_bans_if_no_jail_has_the_option() -> None:
    one = engine(replace(SPEC, widen=()))
    assert not one.widening.active
    assert one.register._watcher is None
    attack(one, hosts(1, 2, 3))
    assert [ban.network.length for ban in one.register.table] == [32, 32, 32]


def restarted(one: DecisionEngine, *specs: JailSpec) -> DecisionEngine:
    """An engine that knows nothing but the rows."""
    other = DecisionEngine(specs or [SPEC], Guard({}), BanRegister(BanTable(one.register.table)))
    for _ in other.widening.build():
        pass
    return other


def test_a_restart_lifts_what_lost_its_reasons_and_bans_what_gained_them_meanwhile() -> None:
    one = engine()
    attack(one, [*hosts(1, 2, 3), "198.51.100.1", "198.51.100.2"])
    one.register.watch(None)
    one.register.lift(Network.parse("203.0.113.1"), NOW, "manual")
    one.register.ban(Ban(Network.parse("198.51.100.3"), "smtp", NOW, None, "log"), NOW)
    other = restarted(one)
    assert {type(e): str(e.network) for e in checked(other, NOW + 1) if isinstance(e, Ban | Unban)} == {
        Unban: "203.0.113.0/24",
        Ban: "198.51.100.0/24",
    }
    # A start that finds the option gone lifts the rest; then nobody watches after the next start.
    without = replace(SPEC, widen=())
    last = restarted(other, without)
    assert [e.network.length for e in checked(last, NOW + 2) if isinstance(e, Unban)] == [24]
    assert not restarted(last, without).widening.active


def test_other_rules_after_a_reload_count_anew() -> None:
    one = engine()
    attack(one, hosts(1, 2, 3))
    attack(one, ["198.51.100.1", "198.51.100.2"])
    one.renew([replace(SPEC, widen=(WidenRule(24, 2, DAY, "1d"),))], one._policies.good)
    for _ in one.widening.build():
        pass
    assert [str(e.network) for e in checked(one, NOW) if isinstance(e, Ban)] == ["198.51.100.0/24"]
    one.renew([replace(SPEC, widen=())], one._policies.good)
    for _ in one.widening.build():
        pass
    assert {str(e.network) for e in checked(one, NOW) if isinstance(e, Unban)} == {
        "203.0.113.0/24",
        "198.51.100.0/24",
    }


def test_a_set_clock_moves_the_end_together_with_its_reasons() -> None:
    one = engine()
    attack(one, hosts(1, 2, 3))
    one.register.shift(365 * DAY)
    assert one.expire(NOW + 365 * DAY + 29 * DAY) == []
    assert len(one.expire(NOW + 365 * DAY + 30 * DAY)) == 4


def test_a_million_bans_are_suspended_at_once_and_indexed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.decide.widen.widening._MOST_CHANGES", 2)
    one = engine()
    attack(one, hosts(1, 2, 3))
    one.register.rest((Network.parse(host), "smtp") for host in hosts(1, 2, 3))
    for _ in one.widening.build():
        pass
    assert [e.reason for e in checked(one, NOW) if isinstance(e, Unban)] == ["shrunk"]


@pytest.mark.parametrize("allowed", [False, True], ids=["banned", "refused"])
def test_a_burst_in_one_prefix_does_not_count_its_units_again_for_each_ban(
    monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    seen, inside = [0], UnitIndex.inside

    def counting(self: UnitIndex, prefix: Network) -> list[object]:
        found = inside(self, prefix)
        seen[0] += len(found)
        return list(found)

    monkeypatch.setattr(UnitIndex, "inside", counting)
    rule = WidenRule(16, 20, DAY, "1d")
    one = engine(replace(SPEC, widen=(rule,)))
    if allowed:
        one.spare(Guard({"ignored": [Network.parse("198.51.7.7")]}), PrefixSet())
    for n in range(10_000):
        attack(one, [f"198.51.{n >> 8}.{n & 255}"], NOW + n / 10_000)
    one.expire(NOW + 1)
    assert seen[0] < 3 * 10_000


def test_the_index_takes_less_than_a_hundred_bytes_for_a_ban() -> None:
    number = 100_000
    # Each in a /24 of its own, some in each /16.
    networks = [Network(4, (1 << 24) + n * 256, 32) for n in range(number)]
    bans = [Ban(network, "smtp", NOW, None, "log") for network in networks]
    register = BanRegister(BanTable(bans))
    del bans, networks
    one = DecisionEngine([SPEC], Guard({}), register)
    tracemalloc.start()
    for _ in one.widening.build():
        pass
    assert tracemalloc.get_traced_memory()[0] / number < 100
    tracemalloc.stop()
