"""Bans a prefix as a whole while enough of its units are banned, and lifts the ban when they are not."""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterable, Iterator, Sequence

from sidecar.bans.packing import WIDENED, Standing
from sidecar.bans.register import BanRegister
from sidecar.decide.known_good import KnownGood
from sidecar.decide.widen.objections import Objection, Objections
from sidecar.decide.widen.shared_rules import PrefixVerdict, SharedRule, SharedRules
from sidecar.decide.widen.unit_index import Unit, UnitIndex, distinct
from sidecar.detect.count.evidence import Evidence
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Ban, Extended, Instant, Refused, Seconds, Unban, counted
from sidecar.network import Network
from sidecar.records import Decision

SHRUNK = "shrunk"
# A refusal of a prefix is reported once within this time.
_TELL_AGAIN: Seconds = 3600.0
# Networks per step of `build`, and prefixes per step of `recheck` and at most at a time.
_STEP, _CHECKED, _MOST_CHECKED = 200, 100, 500
# With more changes at once the index is built anew.
_MOST_CHANGES = 10_000
# Reasons that are kept as evidence, and characters of the log line of each.
_MOST_REASONS, _LONGEST_LINE = 20, 400


class Widening:
    """Applies `zmban.widen` of all jails. Watches the register; costs nothing if no jail has the option.

    A unit counts while it has a ban that a log or another host led to, in a jail that has the option for its
    version, and that is not suspended. A prefix is banned when so many units count that were banned within a
    rule's time before. It stays banned while so many count that were banned since the beginning of that time:
    until the end of the ban that leaves too few. If it takes dry bans to make them enough, it is a dry ban.
    """

    def __init__(self, register: BanRegister, known_good: KnownGood, evidence: Evidence) -> None:
        self._register, self._table, self._evidence = register, register.table, evidence
        self.objections, self.rules = Objections(known_good), SharedRules()
        self._restart()

    def _restart(self) -> None:
        """Begin anew with the index, see `build`."""
        # Units with an enforced ban, and units with a dry ban.
        self._units, self._dry_units = UnitIndex(), UnitIndex()
        # Prefixes with a widened ban, and those whose ban was refused, with when that was last reported.
        self._widened: dict[Network, None] = {}
        self._refused: dict[Network, Instant] = {}
        # Prefixes to judge: not banned yet; banned or refused; all after `build`. And those to check in turn.
        self._fresh: dict[Network, None] = {}
        self._due: dict[Network, None] = {}
        self._unknown: dict[Network, None] = {}
        self._in_turn: list[Network] = []
        # The time of the last ban that was not looked at.
        self._last: Instant | None = None
        self._built, self._building = not len(self._table), 0

    @property
    def active(self) -> bool:
        """Whether there is anything to do: a jail has the option, or a ban is left from when one had it."""
        return bool(self.rules) or self._table.any_widened

    @property
    def widened(self) -> Collection[Network]:
        """The prefixes that are banned as a whole, known when `build` has ended."""
        return self._widened.keys()

    def renew(self, jails: Iterable[JailSpec]) -> None:
        """Set the jails. If their rules changed, `build` must run again."""
        rules = SharedRules(jails)
        if rules != self.rules:
            self.rules = rules
            self._restart()
        self._register.watch(self if self.active else None)

    def build(self) -> Iterator[None]:
        """Index all bans, a part per step, so that the caller can pause. Nothing is widened before its
        end."""
        if self._built or not self.active:
            return
        self._building += 1
        mine = self._building
        networks = list(self._table.networks())
        for start in range(0, len(networks), _STEP):
            for network in networks[start : start + _STEP]:
                self.changed(network)
            yield
            if self._building != mine:
                return
        for (version, length), fewest in self.rules.fewest().items():
            for index in (self._units, self._dry_units):
                for prefix in index.prefixes(version, length, fewest):
                    if prefix is not None:
                        self._unknown[prefix] = None
                        continue
                    yield
                    if self._building != mine:
                        return
        self._unknown |= self._widened
        self._built = True

    def changed(self, network: Network, line: str = "") -> None:
        """A ban of this network came, went or changed: index it, and mark the prefixes around it."""
        found: tuple[list[Standing], list[Standing]] = [], []
        widened, counting = False, self.rules.counting[network[0]]
        for one in self._table.standing(network):
            if one.widened:
                widened = True
            elif (
                one.jail in counting
                and one.origin in ("log", "cluster")
                and (one.dry or not self._table.rests(network, one.jail))
            ):
                found[one.dry].append(one)
        if widened:
            self._widened[network] = None
        else:
            self._widened.pop(network, None)
        place = self._evidence.keep(line) if line and any(found) else 0
        moved = self._units.set(network, found[False], place)
        moved |= self._dry_units.set(network, found[True], place)
        if moved and self._built:
            for length in self.rules.lengths[network[0]]:
                if length < network[-1]:
                    self._mark(network.supernet(length))

    def _mark(self, prefix: Network) -> None:
        if prefix in self._widened or prefix in self._refused:
            self._due[prefix] = None
        else:
            count = self._units.count(prefix) + self._dry_units.count(prefix)
            if any(count >= rule.units for rule in self.rules.for_prefix(prefix)):
                self._fresh[prefix] = None

    def rested(self, networks: Collection[Network]) -> None:
        """Bans of these networks are suspended now, or no longer."""
        if len(networks) > _MOST_CHANGES:
            self._restart()
            return
        for network in networks:
            self.changed(network)

    def shifted(self, jump: Seconds) -> None:
        """All ends were moved by `jump` seconds."""
        self._units.shift(jump)
        self._dry_units.shift(jump)

    def grown(self, now: Instant) -> list[Decision]:
        """The events of prefixes that enough bans are inside of since the last call. Called after each
        ban."""
        self._last = now
        if not (self._fresh and self._built):
            return []
        fresh, self._fresh = self._fresh, {}
        return [event for prefix in fresh for event in self._judge(prefix, now)]

    def before(self, now: Instant) -> list[Decision]:
        """As `look`, at the time of the last ban. Called before time goes on: an end may be later by now."""
        return self.look(now if self._last is None else min(now, self._last))

    def look(self, now: Instant) -> list[Decision]:
        """The events of all prefixes in which a ban came, went or changed since the last call."""
        self._last = None
        if not ((self._fresh or self._due) and self._built):
            return []
        due, self._fresh, self._due = self._due | self._fresh, {}, {}
        return [event for prefix in due for event in self._judge(prefix, now)]

    def recheck(self, now: Instant) -> Iterator[list[Decision]]:
        """The events of prefixes that must not be banned any longer, or may be now, because others are
        known-good or protected; a part per step. All are checked in turn, a limited number in each call."""
        while self._built and self._unknown:
            some = list(self._unknown)[:_CHECKED]
            for prefix in some:
                del self._unknown[prefix]
            yield [event for prefix in some for event in self._judge(prefix, now)]
        if not self._in_turn:
            self._in_turn = [*self._widened, *self._refused]
        for _ in range(0, _MOST_CHECKED, _CHECKED):
            some = self._in_turn[-_CHECKED:]
            del self._in_turn[-_CHECKED:]
            if some and self._built:
                yield [event for prefix in some for event in self._check(prefix, now)]

    def _check(self, prefix: Network, now: Instant) -> list[Decision]:
        objection = self.objections.to(prefix, now)
        told = self._refused.get(prefix)
        if told is None:
            as_before = prefix not in self._widened or objection is None
        else:
            # If nothing changed inside, an old refusal is forgotten when its bans are.
            as_before = objection is not None and now - told < _TELL_AGAIN
        return [] if as_before else self._judge(prefix, now, new=False)

    def _judge(self, prefix: Network, now: Instant, *, new: bool = True) -> list[Decision]:
        """Make, change or lift the widened ban of a prefix. `new`: because of a change inside, so that a
        refusal may be reported again."""
        standing = [one for one in self._table.standing(prefix) if one.widened]
        verdict = self._verdict(prefix, standing, now)
        objection = verdict and self.objections.to(prefix, now)
        if verdict is None or objection is not None:
            events: list[Decision] = [*self._lift(prefix, standing, now)]
            if verdict is None or objection is None:
                self._refused.pop(prefix, None)
            else:
                events += self._refuse(prefix, verdict, objection, now, new=new)
            return events
        self._refused.pop(prefix, None)
        return [*self._enter(prefix, standing, verdict, now)]

    def _verdict(self, prefix: Network, standing: Sequence[Standing], now: Instant) -> PrefixVerdict | None:
        """Until when a prefix is to be banned; None if it is not."""
        for dry in (False, True):
            begun = min((one.at for one in standing if one.dry == dry), default=now)
            # A ban that is enforced stays so if its jail is switched to a dry run.
            kept = not dry and any(not one.dry for one in standing)
            rules = [rule for rule in self.rules.for_prefix(prefix) if kept or rule.of(dry=dry)]
            if dry and not len(self._dry_units):
                # Without dry bans the other rules have decided.
                rules = [rule for rule in rules if rule.jails != rule.enforcing]
            found = (self._by(rule, prefix, begun, now, dry=dry) for rule in rules)
            verdict = max(filter(None, found), key=lambda one: one.until, default=None)
            if verdict is not None:
                return verdict
        return None

    def _by(
        self, rule: SharedRule, prefix: Network, begun: Instant, now: Instant, *, dry: bool
    ) -> PrefixVerdict | None:
        """What one rule demands for a prefix whose ban began then."""
        since = begun - rule.seconds
        indices = (self._units, self._dry_units) if dry else (self._units,)
        if sum(index.count_since(prefix, since) for index in indices) < rule.units:
            return None
        ends = [end for at, end in distinct(self._inside(prefix, dry=dry)) if at >= since and end > now]
        if len(ends) < rule.units:
            return None
        return PrefixVerdict(heapq.nlargest(rule.units, ends)[-1], rule, dry, len(ends), since)

    def _inside(self, prefix: Network, *, dry: bool) -> list[Unit]:
        units = self._units.inside(prefix)
        return sorted([*units, *self._dry_units.inside(prefix)]) if dry else units

    def _lift(self, prefix: Network, standing: Iterable[Standing], now: Instant) -> Iterator[Unban]:
        for one in standing:
            yield from self._register.lift(prefix, now, SHRUNK, one.jail)

    def _refuse(
        self, prefix: Network, verdict: PrefixVerdict, objection: Objection, now: Instant, *, new: bool
    ) -> Iterator[Refused]:
        told = self._refused.get(prefix)
        if told is None or (new and now - told >= _TELL_AGAIN):
            self._refused[prefix] = now
            jail, _ = self._reasons(prefix, verdict)
            yield Refused(str(prefix), jail, now, objection.reason, line=objection.text)

    def _enter(
        self, prefix: Network, standing: Sequence[Standing], verdict: PrefixVerdict, now: Instant
    ) -> Iterator[Ban | Extended | Unban]:
        """Make the widened ban as the verdict says, under the jail that it has if it stands."""
        until = None if verdict.until == math.inf else verdict.until
        same = next((one for one in standing if one.dry == verdict.dry), None)
        last = same or next(iter(standing), None)
        # An enforced ban replaces the dry one of its jail, but not the other way round.
        over = [one for one in standing if one is not last or one.dry < verdict.dry]
        yield from self._lift(prefix, over, now)
        if same is not None:
            if same.due != until:
                yield from self._register.end_at(prefix, same.jail, until)
            return
        jail, lines = self._reasons(prefix, verdict)
        jail = last.jail if last else jail
        reason = f"{WIDENED}{counted(verdict.units, 'unit')} banned in {verdict.rule.time}"
        times = self._register.earlier(prefix, jail).times + 1
        ban = Ban(prefix, jail, now, until, "log", reason, verdict.units, lines, times, verdict.dry)
        yield from self._register.ban(ban, now)

    def _reasons(self, prefix: Network, verdict: PrefixVerdict) -> tuple[str, tuple[str, ...]]:
        """The jail of the last ban that counts, and a line about each of the last such bans."""
        units = [unit for unit in self._inside(prefix, dry=verdict.dry) if unit.at >= verdict.since]
        lines, jails = list[str](), verdict.rule.of(dry=verdict.dry)
        named = ""
        for unit in heapq.nlargest(_MOST_REASONS, units, key=lambda one: one.at):
            standing = (one for one in self._table.standing(unit.network) if one.at == unit.at)
            counting = self.rules.counting[prefix[0]]
            if (one := next((ban for ban in standing if ban.jail in counting), None)) is not None:
                named = named or one.jail
                line = self._evidence.line(unit.place) or one.reason
                lines.append(f"{unit.network} {one.jail}: {line[:_LONGEST_LINE]}")
        return named if named in jails else jails[0], tuple(lines)
