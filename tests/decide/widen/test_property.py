"""Whatever happens, exactly those prefixes are banned as a whole that a naive count of the bans says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.bans.guard import Guard
from sidecar.bans.packing import is_widened
from sidecar.bans.register import BanRegister
from sidecar.bans.table import BanTable
from sidecar.decide.engine import DecisionEngine
from sidecar.decide.known_good import KnownGood
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.spec import FilterSpec
from sidecar.fail2ban.zmban_options import WidenRule
from sidecar.model import Ban
from sidecar.network import Network, PrefixSet

# Two /24s in one /22, and /64s of two /56s in one /48; the last ones are inside others.
UNITS = [
    *(Network.parse(f"203.0.113.{last}") for last in (1, 2, 3, 130)),
    Network.parse("203.0.113.128/28"),
    *(Network.parse(f"203.0.112.{last}") for last in (1, 2)),
    *(Network.parse(f"2001:db8:0:{n}::/64") for n in ("1", "2", "101")),
    Network.parse("2001:db8:0:1::7"),
]
RULES = (
    WidenRule(24, 2, 50.0, "50"),
    WidenRule(22, 4, 80.0, "80"),
    WidenRule(22, 3, 10.0, "10"),
    WidenRule(56, 2, 40.0, "40"),
    WidenRule(48, 3, 30.0, "30"),
)
JAILS = {
    "a": JailSpec("a", FilterSpec("a", ()), (), widen=RULES),
    "b": JailSpec("b", FilterSpec("b", ()), (), widen=RULES[:1]),
    "trial": JailSpec("trial", FilterSpec("c", ()), (), widen=RULES, dry_run=True),
    "apart": JailSpec("apart", FilterSpec("d", ()), ()),
}
# A prefix that is banned: whether dry, since when, and until when.
Widened: TypeAlias = dict[Network, tuple[bool, float, float]]


@dataclass
class World:
    """An engine, and beside it what is known without it."""

    now: float = 1000.0
    known_good: KnownGood = field(default_factory=lambda: KnownGood(500.0))
    allowed: set[Network] = field(default_factory=set)
    held: dict[Network, float] = field(default_factory=dict)
    resting: set[tuple[Network, str]] = field(default_factory=set)
    expected: Widened = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.register = BanRegister()
        self.engine = self.of(self.register)

    def of(self, register: BanRegister) -> DecisionEngine:
        engine = DecisionEngine(JAILS.values(), Guard({}), register, self.known_good)
        engine.known_good.keep_for(500.0)
        engine.spare(Guard({"ignored": self.allowed}), PrefixSet())
        engine.widening.objections.held = self.held
        return engine

    def settle(self) -> None:
        """Let the engine look."""
        self.engine.spare(Guard({"ignored": self.allowed}), PrefixSet())
        self.engine.expire(self.now)
        for _ in self.engine.widening.recheck(self.now):
            pass
        self.engine.expire(self.now)

    def count(self) -> None:
        """Count anew beside the engine."""
        around = {p for unit in UNITS for p in self.engine.widening.rules.around(unit)}
        found = {prefix: self.naive(prefix) for prefix in around}
        self.expected = {prefix: one for prefix, one in found.items() if one is not None}

    def naive(self, prefix: Network) -> tuple[bool, float, float] | None:
        """Whether a prefix is banned, counted from the bans alone."""
        inside = any(prefix.covers(n) or n.covers(prefix) for n in self.allowed)
        good = any(self.known_good.clients.is_known(n, self.now) for n in UNITS if prefix.covers(n))
        if inside or good or self.held.get(prefix, 0.0) >= self.now:
            return None
        was = self.expected.get(prefix)
        for dry in (False, True):
            begun = was[1] if was and was[0] == dry else self.now
            ends = [
                self.end(prefix, rule, begun, dry=dry)
                for rule in {r for jail in JAILS.values() for r in jail.widen if dry or not jail.dry_run}
                if rule.prefix == prefix.length
            ]
            if last := max(ends, default=0.0):
                return dry, begun, last
        return None

    def end(self, prefix: Network, rule: WidenRule, begun: float, *, dry: bool) -> float:
        """When a rule no longer demands the ban; 0 if it does not."""
        bans = [
            ban
            for ban in self.register.table
            if prefix.covers(ban.network) and prefix != ban.network and not is_widened(ban)
            if ban.jail != "apart"
            and (dry or not ban.dry)
            and (ban.dry or not self.register.table.rests(ban.network, ban.jail))
            if not (ban.jail == "b" and prefix.version == 6)
        ]
        units: dict[Network, list[Ban]] = {}
        for ban in bans:
            unit = ban.network.unit()
            wide = next((o.network for o in bans if o.network != unit and o.network.covers(unit)), unit)
            units.setdefault(wide, []).append(ban)
        ends = [
            max(math.inf if ban.until is None else ban.until for ban in those)
            for those in units.values()
            if max(ban.at for ban in those) >= begun - rule.seconds
        ]
        return sorted(ends, reverse=True)[rule.units - 1] if len(ends) >= rule.units else 0.0


def widened(register: BanRegister) -> Widened:
    """What the table says."""
    rows = [ban for ban in register.table if is_widened(ban)]
    assert len({ban.network for ban in rows}) == len(rows)
    return {b.network: (b.dry, b.at, math.inf if b.until is None else b.until) for b in rows}


class Step(NamedTuple):
    """One thing that happens: to a unit, or so many seconds pass."""

    word: str
    network: Network
    seconds: float | None
    jail: str


def steps(chance: Random, number: int) -> Iterator[Step]:
    """What happens, mostly bans: lists that hypothesis draws itself rarely ban three units of a prefix."""
    for _ in range(number):
        (word,) = chance.choices(
            ["ban", "pass", "unban", "let in", "login", "allow", "disallow", "rest", "wake"],
            [12, 6, 1, 0.3, 0.3, 0.4, 2, 0.6, 2],
        )
        lengths = (
            [1.0, 2.0, 5.0, 12.0, 30.0, 100.0] if word == "pass" else [5.0, 20.0, 60.0, 200.0, 300.0, None]
        )
        jail = chance.choice(["a", "a", "a", "b", "trial", "apart"])
        yield Step(word, chance.choice(UNITS), chance.choice(lengths), jail)


def act(world: World, step: Step) -> None:
    """Let it happen."""
    now, network = world.now, step.network
    pairs = {(network, jail) for jail in JAILS}
    match step.word:
        case "ban":
            until, dry = step.seconds and now + step.seconds, JAILS[step.jail].dry_run
            world.register.ban(Ban(network, step.jail, now, until, "log", "x", 1, ("line",), dry=dry), now)
            world.engine.widening.grown(now)
        case "pass":
            world.now += step.seconds or 0.0
        case "unban":
            world.register.lift(network, now, "manual")
        case "let in":
            for prefix, seconds in world.engine.widening.rules.around(network).items():
                world.held[prefix] = now + seconds
                world.register.lift(prefix, now, "manual")
        case "login":
            world.known_good.learn(network, "bob", now)
        case "allow":
            world.allowed.add(network)
        case "disallow":
            world.allowed.discard(network)
        case word:
            world.resting = world.resting | pairs if word == "rest" else world.resting - pairs
            world.register.rest(world.resting)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1 << 32))
def test_the_banned_prefixes_are_those_of_a_naive_count_at_any_time_and_after_a_restart(seed: int) -> None:
    world = World()
    for step in steps(Random(seed), 60):
        act(world, step)
        if step.word != "ban" or step.jail != "b":
            world.settle()
        # What follows from a ban is known, whether or not somebody looks before time goes on.
        world.count()
        if step.word == "ban":
            continue
        assert widened(world.register) == world.expected
        # A restart at this moment: the rows of the table, and nothing else.
        other = BanRegister(BanTable(world.register.table))
        other.rest((n, jail) for n, jails in world.register.table.all_resting().items() for jail in jails)
        engine = world.of(other)
        for _ in engine.widening.build():
            pass
        for _ in engine.widening.recheck(world.now):
            pass
        assert widened(other) == world.expected
    # When all bans are over, nothing is left.
    world.held.clear()
    for network in UNITS:
        for ban in world.register.table.all_of(network):
            if ban.until is None:
                world.register.lift(network, world.now, "manual", ban.jail)
    world.now += 10_000.0
    world.settle()
    assert len(world.register.table) == 0
