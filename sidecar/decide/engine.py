"""The decision engine: turns matches into events, for the service and for `zmban replay`."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from sidecar.bans.guard import Guard
from sidecar.bans.history import NEVER, Earlier
from sidecar.bans.register import BanRegister
from sidecar.decide.ban_length import ban_end, failure_weight
from sidecar.decide.jail_state import JailState, needs_confirmation
from sidecar.decide.known_good import KnownGood
from sidecar.decide.outcome import CountIn, Outcome, Refuse, Silent
from sidecar.decide.policies import Case, Policies, Rule
from sidecar.decide.widen.widening import Widening
from sidecar.detect.count import corroboration
from sidecar.detect.count.corroboration import TOGETHER, Corroboration
from sidecar.detect.count.evidence import Evidence
from sidecar.detect.count.password_spray import PasswordSprayDetector
from sidecar.detect.count.window import ThresholdReached
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Ban, Event, Failure, FailuresCleared, Instant, Match, Refused, counted
from sidecar.network import Network, PrefixSet
from sidecar.records import Decision
from sidecar.settings import GoodSettings


class DecisionEngine:
    """Counts failures and decides bans. Bans are added to `register`; the caller publishes the events.

    `evidence` keeps the lines of the failures in the windows. `widening` bans prefixes as a whole. `chance`
    gives the random numbers of `bantime.rndtime`.
    """

    def __init__(
        self,
        jails: Iterable[JailSpec],
        guard: Guard,
        register: BanRegister,
        known_good: KnownGood | None = None,
        evidence: Evidence | None = None,
        good: GoodSettings = GoodSettings(),  # noqa: B008 - frozen
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.register, self._chance = register, chance
        self.known_good = known_good or KnownGood()
        self.jails: dict[str, JailState] = {}
        self._evidence = evidence or Evidence()
        self.widening = Widening(register, self.known_good, self._evidence)
        self._guard, self._suspects, self._reachable = guard, PrefixSet(), frozenset[Network]()
        self._corroboration = Corroboration()
        self._policies = Policies(self.known_good, self._corroboration, good)
        # The rules that apply to each jail, and the jails with failures that another log may confirm.
        self._counting: dict[str, tuple[Rule, ...]] = {}
        self._unconfirmed: list[JailState] = []
        # Failures that other hosts may count with theirs, each with its weight: not those that a policy
        # counts elsewhere, such as those of known-good clients. None: nobody asks for them.
        self.gathered: list[tuple[Failure, int]] | None = None
        self.renew(jails, good)

    @property
    def grows(self) -> bool:
        """Whether any jail has growing ban times, so that earlier bans must be counted."""
        return any(jail.spec.increment for jail in self.jails.values())

    @property
    def spray(self) -> PasswordSprayDetector:
        """The counts of addresses per account and accounts per network."""
        return self._policies.spray

    def renew(self, jails: Iterable[JailSpec], good: GoodSettings) -> None:
        """Set the jails. A jail that existed before keeps its failures as far as they still count. Call
        `spare` afterwards."""
        before, same = self.jails, good.patience == self._policies.good.patience
        self.jails = {}
        for spec in jails:
            state = before.get(spec.name)
            if state is None or state.spec != spec or not same:
                state = JailState(spec, self._evidence, self._guard, good.patience)
                if spec.name in before:
                    state.take_over(before[spec.name])
            self.jails[spec.name] = state
        self._unconfirmed = [jail for jail in self.jails.values() if needs_confirmation(jail.spec)]
        self._counting = {
            name: tuple(policy.rule for policy in self._policies.counting if policy.applies(jail))
            for name, jail in self.jails.items()
        }
        self._policies.good = good
        self.known_good.keep_for(good.days * 86400.0)
        self.widening.renew(jail.spec for jail in self.jails.values())
        self._spare_inside()

    def switch(self, jails: Iterable[JailSpec]) -> None:
        """Take over dry_run of these jails, and nothing else. All windows stay as they are."""
        for spec in jails:
            state = self.jails[spec.name]
            state.spec = replace(state.spec, dry_run=spec.dry_run)
        self.widening.renew(jail.spec for jail in self.jails.values())

    def spare(self, guard: Guard, suspects: PrefixSet, reachable: Collection[Network] = ()) -> None:
        """Set the protected networks, which are never banned, the suspected proxies, which are not banned
        because of a log, and the networks that stay reachable under a wider ban."""
        self._guard, self._suspects, self._reachable = guard, suspects, frozenset(reachable)
        for jail in self.jails.values():
            jail.spare(guard, jail.ignored, suspects)
        self._spare_inside()

    def spare_admins(self, admins: Iterable[Network]) -> None:
        """Set the SSH clients that are not banned because of a log."""
        self._policies.admins = set(admins)
        self._spare_inside()

    def ignore(self, jail: str, networks: Iterable[Network]) -> None:
        """Set the networks that a jail ignores."""
        self.jails[jail].spare(self._guard, PrefixSet(networks), self._suspects)
        self._spare_inside()

    def _spare_inside(self) -> None:
        """Tell which networks no widened ban may contain."""
        if self.widening.active:
            ignored = (network for jail in self.jails.values() for network in jail.ignored)
            others = (*self._suspects, *self._reachable, *self._policies.admins)
            self.widening.objections.spare(self._guard, (*ignored, *others))

    def decide(self, match: Match, at: Instant, now: Instant) -> Sequence[Event]:
        """The events that follow from a match at time `at`. No ban is made that would have ended already."""
        jail = self.jails.get(match.jail)  # It may have been removed while the host name was resolved.
        if jail is None or now - at >= jail.spec.findtime:
            return ()
        spec = jail.spec
        if spec.report_only:
            self._policies.report(spec.name, at)
            client = match.facts and match.facts.client
            return (Refused(match.host or "", spec.name, at, "report-only", client, match.line),)
        network, refusal = jail.ban_target(match.host)
        if network is None or refusal:
            return (Refused(match.host or "", match.jail, at, refusal or "no-address", line=match.line),)
        confirmed = self._confirm(match, at, now) if self._unconfirmed else ()
        if spec.confirms:
            return confirmed
        earlier = self._earlier(spec, network) if spec.increment else NEVER
        case = Case(jail, network, at, now, match.line, earlier, match.host or "", match.facts, match.source)
        weight = failure_weight(spec, earlier, at) * jail.repetitions(match)
        events = self._count(case, weight)
        return (*confirmed, *events) if confirmed else events

    def decide_together(
        self, jail: str, network: Network, at: Instant, now: Instant, failures: int
    ) -> Sequence[Event]:
        """The events where several hosts together counted maxretry failures, the last one at `at`. The
        evidence is that of this host, and its guard and policies apply."""
        state = self.jails.get(jail)
        if state is None or now - at >= state.spec.findtime:
            return ()
        single = network.address if network.single else str(network)
        target, refusal = state.ban_target(single)
        if target is None or refusal:
            return (Refused(single, jail, at, refusal or "no-address"),)
        lines = tuple(state.window.lines(network))[-max(1, state.spec.maxmatches) :]
        case = Case(state, network, at, now, "", self._earlier(state.spec, network), single)
        state.window.forget(network)
        return self._ban(case, ThresholdReached(failures, lines, at))

    def _count(self, case: Case, weight: int) -> Sequence[Event]:
        """Let the policies choose the window, count the failure in it, and ban if its threshold is
        reached."""
        name, network, at = case.spec.name, case.network, case.at
        for rule in self._counting[name]:
            if (outcome := rule(case)) is not None:
                return self._counted_by(outcome, case, weight)
        kept = not self.register.table.is_endless(network, name)
        failure = Failure(name, network, at, case.line, kept)
        if not kept:
            dropped = case.jail.window.drop(network)
            return (failure, FailuresCleared(name, network)) if dropped else (failure,)
        threshold = case.jail.window.add(network, at, case.line, weight)
        if threshold is None:
            if self.gathered is not None and case.spec.shared == "counts":
                self.gathered.append((failure, weight))
            return (failure,)
        return (failure, *self._ban(case, threshold))

    def _counted_by(self, outcome: Outcome, case: Case, weight: int) -> Sequence[Event]:
        """The events where a policy decided."""
        if isinstance(outcome, Silent):
            return ()
        if isinstance(outcome, Refuse):
            return (case.refused(outcome.reason),)
        failure, word = Failure(case.spec.name, case.network, case.at, case.line), None
        threshold: ThresholdReached | None
        if isinstance(outcome, CountIn):
            threshold = outcome.window.add(case.network, case.at, case.line, weight)
            word = outcome.reason
        else:
            threshold = outcome
        if threshold is not None:
            return (failure, *self._ban(case, threshold))
        return (case.refused(word),) if word else (failure,)

    def _ban(self, case: Case, threshold: ThresholdReached) -> Sequence[Event]:
        """The events that follow when the threshold is reached."""
        spec, network = case.spec, case.network
        case.at = at = max(case.at, threshold.last)
        stands = spec.increment is not None and self.register.table.of(network, spec.name) is not None
        case.until = ban_end(spec, at, case.earlier, self._chance(), stands=stands)
        for policy in self._policies.banning:
            outcome = policy.rule(case)
            if isinstance(outcome, Refuse):
                refused = Refused(network.address, spec.name, at, outcome.reason)
                if not outcome.clears:
                    return (refused,)
                line = "\n".join(threshold.lines[-1:])
                return (refused._replace(line=line), FailuresCleared(spec.name, network))
            if outcome is not None:
                return (FailuresCleared(spec.name, network),)
        reason = f"{counted(threshold.failures, 'failure')} in {spec.findtime:g} s"
        times = self.register.earlier(network, spec.name).times + 1
        ban = Ban(
            network, spec.name, at, case.until, "log", reason, threshold.failures, threshold.lines, times,
            spec.dry_run,
        )  # fmt: skip
        entered = self.register.ban(ban, case.now)
        if not entered:
            return (FailuresCleared(spec.name, network),)
        return (*entered, *self.widening.grown(case.now))

    def expire(self, now: Instant) -> list[Decision]:
        """End every ban whose time is over, and ban or lift prefixes as the bans inside demand."""
        events = self.widening.before(now)
        events += self.register.expire(now)
        return events + self.widening.look(now)

    def _confirm(self, match: Match, at: Instant, now: Instant) -> Sequence[Event]:
        """Count the unconfirmed failures of this client, because another log confirms them now."""
        if not corroboration.confirms(match.source):
            return ()
        events: list[Event] = []
        for jail in self._unconfirmed:
            # Each jail has its own prefix lengths.
            network, refusal = jail.ban_target(match.host)
            if network is None or refusal:
                continue
            self._corroboration.see(network, match.source, at)
            earlier = self._earlier(jail.spec, network)
            for then, line in jail.unconfirmed_window.take(network, at - TOGETHER, at + TOGETHER):
                events.append(Failure(jail.spec.name, network, then, line))
                weight = failure_weight(jail.spec, earlier, then)
                if threshold := jail.window.add(network, then, line, weight):
                    case = Case(jail, network, at, now, line, earlier, network.address)
                    events += self._ban(case, threshold)
        return events

    def objection(self, match: Match) -> str | None:
        """Why a match does not count regardless of earlier matches, as a label of refused_total. None if it
        counts."""
        jail = self.jails[match.jail]
        if jail.spec.report_only:
            return "report-only"
        network, refusal = jail.ban_target(match.host)
        if network is None or refusal:
            return refusal or "no-address"
        excused = jail.logins is not None and match.facts is not None and match.facts.excused
        return "not-counted" if excused else None

    def restore(self, failure: Failure) -> None:
        """Count a failure from the database. It leads to no ban by itself."""
        jail = self.jails[failure.jail]
        earlier = self._earlier(jail.spec, failure.network)
        weight = failure_weight(jail.spec, earlier, failure.at) * jail.repetitions_in(failure.line)
        jail.window.restore(failure.network, failure.at, failure.line, weight)

    def forget(self, network: Network, jail: str | None = None) -> set[Network]:
        """Drop the failures of a network in one jail or all jails, for example after an unban, including
        those of the prefix that an address counts for. Returns all networks concerned."""
        states = [state for name, state in self.jails.items() if jail in (None, name)]
        return {network}.union(*(state.forget(network) for state in states))

    def spared(self) -> list[tuple[Network, str]]:
        """Network and jail of the active bans that must not be enforced now, see `spares`."""
        table = self.register.table
        ignored = (network for jail in self.jails.values() for network in jail.ignored)
        spared = PrefixSet({*self._guard.throws(), *ignored, *self._suspects})
        found = spared.those_covered(table.networks())
        bans = [ban for network in found for ban in table.all_of(network)]
        return [(ban.network, ban.jail) for ban in bans if self.spares(ban)]

    def spares(self, ban: Ban) -> bool:
        """Whether a ban must not be enforced now: its network is protected, ignored by the jail, or a
        suspected proxy that was banned because of a log."""
        jail = self.jails.get(ban.jail)
        ignored = jail is not None and ban.origin == "log" and jail.ignored.covering(ban.network)
        suspected = ban.origin != "manual" and self._suspects.covering(ban.network)
        return bool(ignored or suspected) or self._guard.covers(ban.network)

    def _earlier(self, spec: JailSpec, network: Network) -> Earlier:
        if spec.increment is None:
            return NEVER
        return self.register.earlier(network, spec.name, everywhere=spec.increment.overalljails)
