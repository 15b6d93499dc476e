"""From a match to a verdict: guard, window, ban. The same for the service and for a replay."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from sidecar.bans.guard import Guard
from sidecar.bans.history import NEVER, Earlier, History
from sidecar.bans.table import BanTable
from sidecar.decide.jail_state import JailState, doubts
from sidecar.decide.recent_logins import RecentLogins
from sidecar.detect.count import corroboration
from sidecar.detect.count.corroboration import Corroboration
from sidecar.detect.count.evidence import Evidence
from sidecar.detect.count.password_spray import PasswordSprayDetector
from sidecar.detect.count.window import ThresholdReached
from sidecar.fail2ban.increment import weight
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import (
    Ban,
    Event,
    Extended,
    Failure,
    FailuresCleared,
    Instant,
    Match,
    Refused,
    Unban,
    counted,
)
from sidecar.network import Network, PrefixSet
from sidecar.settings import GoodSettings

_OUTAGE_SECONDS = 5.0


def _refused(match: Match, at: Instant, reason: str) -> Refused:
    """A match that does not count, with the client that our own grammar read from its line."""
    client = match.said and match.said.client
    return Refused(match.host or "", match.jail, at, reason, client, match.line)


class DecisionEngine:
    """Counts matches and bans. Events are returned, nothing else happens: the caller acts on them.

    `evidence` keeps the lines of failures that stand in windows.
    """

    def __init__(
        self,
        jails: Iterable[JailSpec],
        guard: Guard,
        table: BanTable,
        history: History | None = None,
        evidence: Evidence | None = None,
        good: GoodSettings = GoodSettings(),  # noqa: B008 - frozen
    ) -> None:
        self._evidence = evidence or Evidence()
        self.courts: dict[str, JailState] = {}
        self.guard, self.suspects = guard, PrefixSet()
        self.table = table
        self.history = history or History()
        # Who is at work on this host: no log bans them.
        self.admins: set[Network] = set()
        self._certainty = Corroboration()
        self._doubting: list[JailState] = []
        self.spread = PasswordSprayDetector()
        # When each jail that only reports did so last.
        self._reported: dict[str, Instant] = {}
        self._good = good
        self.known, self.peers = RecentLogins(), RecentLogins()
        self.renew(jails, good)

    def renew(self, jails: Iterable[JailSpec], good: GoodSettings) -> None:
        """From now on these are the jails. One that was there before goes on with what it counted, as far as
        that still counts; `spare` comes next."""
        before, same = self.courts, good.patience == self._good.patience
        self.courts = {}
        for spec in jails:
            court = before.get(spec.name)
            if court is None or court.spec != spec or not same:
                court = JailState(spec, self._evidence, self.guard, good.patience)
                if spec.name in before:
                    court.take_over(before[spec.name])
            self.courts[spec.name] = court
        self._doubting = [court for court in self.courts.values() if doubts(court.spec)]
        self.grows = any(court.spec.increment for court in self.courts.values())
        self._good = good
        self.known.lasts = self.peers.lasts = good.days * 86400.0

    def spare(self, guard: Guard, suspects: PrefixSet) -> None:
        """From now on no ban touches whom the guard protects, and no ban of a log the suspected proxies."""
        self.guard, self.suspects = guard, suspects
        for court in self.courts.values():
            court.spare(guard, court.ignored, suspects)

    def ignore(self, jail: str, networks: Iterable[Network]) -> None:
        """From now on a jail ignores these."""
        self.courts[jail].spare(self.guard, PrefixSet(networks), self.suspects)

    def judge(self, match: Match, at: Instant, now: Instant) -> Sequence[Event]:
        """What follows from one match that counts at `at`. A ban whose end is already past is none."""
        court = self.courts.get(match.jail)
        if court is None:
            # Its jail was taken away while the name of its client was looked up.
            return ()
        spec = court.spec
        if now - at >= spec.findtime:
            return ()
        if spec.report_only:
            self._reported[spec.name] = at
            return (_refused(match, at, "report-only"),)
        network, refusal = court.whom(match.host)
        if network is None or refusal:
            return (Refused(match.host or "", match.jail, at, refusal or "no-address", line=match.line),)
        confirmed = self._confirmed(match, at, now) if self._doubting else ()
        heard = () if spec.confirms else self._heard(court, match, network, at, now)
        return (*confirmed, *heard) if confirmed else heard

    def _heard(
        self, court: JailState, match: Match, network: Network, at: Instant, now: Instant
    ) -> Sequence[Event]:
        """What follows from a match that blames this network."""
        spec = court.spec
        passed_over = self._excused(spec, match, network, at) or court.passed_over(match, network, at)
        if passed_over is not None:
            return (_refused(match, at, passed_over),) if passed_over else ()
        failure = Failure(match.jail, network, at, match.line)
        earlier = self._earlier(spec, network) if spec.increment else NEVER
        heavy = self._weight(spec, earlier, at) if earlier.times else 1
        heavy *= court.times(match)
        many = court.logins is not None and self._spread_out(court, match, network, at)
        enough, word = self._counted(court, match, network, at, heavy, many=many)
        if enough is None:
            return (_refused(match, at, word),) if word else (failure,)
        return (failure, *self._verdict(court, network, at, now, enough, earlier))

    def _confirmed(self, match: Match, at: Instant, now: Instant) -> Sequence[Event]:
        """What comes of failures that were doubted, now that another log tells of the client too."""
        if not corroboration.confirms(match.source):
            return ()
        events: list[Event] = []
        for court in self._doubting:
            # Each jail has its own idea of the network that an address stands for.
            network, refusal = court.whom(match.host)
            if network is None or refusal:
                continue
            self._certainty.see(network, match.source, at)
            earlier = self._earlier(court.spec, network)
            for then, line in court.unsure.take(
                network, at - corroboration.TOGETHER, at + corroboration.TOGETHER
            ):
                events.append(Failure(court.spec.name, network, then, line))
                if enough := court.window.add(network, then, line, self._weight(court.spec, earlier, then)):
                    events += self._verdict(court, network, at, now, enough, earlier)
        return events

    def _counted(
        self, court: JailState, match: Match, network: Network, at: Instant, heavy: int, *, many: bool
    ) -> tuple[ThresholdReached | None, str | None]:
        """Count a failure: what is enough of them; if it is not, the word under which it is refused, or None
        where it is a failure like any other."""
        if self._familiar(court, match, network, at):
            return court.patient.add(network, at, match.line, heavy), "known-good"
        sure = self._certainty.sure(network, match.source, at)
        if many and sure:
            # One of many who try the same account: the jail says that each of them is one too many.
            return ThresholdReached(1, (match.line,), at), None
        if sure or court.spec.maxretry >= corroboration.ENOUGH:
            return court.window.add(network, at, match.line, heavy), None
        return court.unsure.add(network, at, match.line), "unconfirmed"

    def _excused(self, spec: JailSpec, match: Match, network: Network, at: Instant) -> str | None:
        """Why a failure is not to be blamed on its client: a login that failed while another jail reported
        that the server was at fault, or what a mail server does that we deal with."""
        spared = spec.spare_peers and self.peers.good(network, at)
        if spared or (spec.spare_good and self.known.good(network, at)):
            return "known-good"
        if not spec.excused_by or match.said is None or not match.said.protocol:
            return None
        reported = self._reported.get(spec.excused_by)
        return "not-counted" if reported is not None and abs(at - reported) <= _OUTAGE_SECONDS else None

    def _spread_out(self, court: JailState, match: Match, network: Network, at: Instant) -> bool:
        """Note who tried which account; whether so many did that the jail bans each of them."""
        account = match.said.account if match.said else ""
        tried = self.spread.see(network, account, at) if account else 0
        return 0 < court.spec.most_addresses <= tried

    def _familiar(self, court: JailState, match: Match, network: Network, at: Instant) -> bool:
        """Whether somebody fails to log in where others, or he himself, lately succeeded."""
        if court.logins is None or match.said is None or not self.known.good(network, at):
            return False
        account = match.said.account
        if account and not self.known.owns(network, account, at):
            # Who tries others' accounts is no phone with an old password.
            self.known.spoil(network, at + court.spec.findtime)
            return False
        return True

    def objection(self, match: Match) -> str | None:
        """Why a match does not count, whatever came before it; None if it does."""
        court = self.courts[match.jail]
        if court.spec.report_only:
            return court.objection(match)
        network, refusal = court.whom(match.host)
        return (refusal or court.objection(match)) if network else refusal or "no-address"

    def _verdict(
        self,
        court: JailState,
        network: Network,
        at: Instant,
        now: Instant,
        enough: ThresholdReached,
        earlier: Earlier,
    ) -> Sequence[Event]:
        """What follows from enough failures."""
        spec, at = court.spec, max(at, enough.last)
        if any(network.covers(admin) for admin in self.admins):
            refused = Refused(
                network.address, spec.name, at, "admin-session", line="\n".join(enough.lines[-1:])
            )
            return (refused, FailuresCleared(spec.name, network))
        until = self._until(spec, network, at, earlier)
        if self.known.good(network, at):
            if court.brakes(at):
                return (Refused(network.address, spec.name, at, "brake"),)
            # A first ban that is short; who goes on behind it is banned as anybody else.
            short = at + self._good.first_ban
            until = short if until is None else min(until, short)
            self.known.spoil(network, short + spec.findtime)
        if until is not None and until <= now:
            return (FailuresCleared(spec.name, network),)
        failures, lines, _ = enough
        reason = f"{counted(failures, 'failure')} in {spec.findtime:g} s"
        count = self.history.of(network, spec.name).times + 1
        ban = Ban(network, spec.name, at, until, "log", reason, failures, lines, count, spec.dry_run)
        event: Ban | Extended | None = self.table.ban(ban)
        if isinstance(event, Ban) and self.grows and not event.dry:
            self.history.add(network, spec.name, count, at)
        return (event or FailuresCleared(spec.name, network),)

    def spared(self) -> list[tuple[Network, str]]:
        """Network and jail of the bans of the table that would not be made now: of whom nobody may ban, or
        whom the jail that made it from its log ignores, or no log bans."""
        ignored = (network for court in self.courts.values() for network in court.ignored)
        spared = PrefixSet({*self.guard.throws(), *ignored, *self.suspects})
        found = spared.those_covered(self.table.networks())
        bans = [ban for network in found for ban in self.table.all_of(network)]
        return [(ban.network, ban.jail) for ban in bans if self.spares(ban)]

    def spares(self, ban: Ban) -> bool:
        """Whether nobody may ban whom it bans, or the jail that made it from its log ignores him; or he is a
        suspected proxy, and no person banned him."""
        court = self.courts.get(ban.jail)
        ignored = court is not None and ban.origin == "log" and court.ignored.covering(ban.network)
        suspected = ban.origin != "manual" and self.suspects.covering(ban.network)
        return bool(ignored or suspected) or self.guard.covers(ban.network)

    def restore(self, failure: Failure) -> None:
        """Count a failure of an earlier run."""
        court = self.courts[failure.jail]
        earlier = self._earlier(court.spec, failure.network)
        heavy = self._weight(court.spec, earlier, failure.at) * court.times_of(failure.line)
        court.window.restore(failure.network, failure.at, failure.line, heavy)

    def ended(self, unban: Unban) -> None:
        """A ban that a person lifted does not make the next one longer."""
        if unban.reason != "expired":
            self.history.forget(unban.network, unban.jail)

    def _earlier(self, spec: JailSpec, network: Network) -> Earlier:
        if spec.increment is None:
            return NEVER
        return self.history.of(network, spec.name, everywhere=spec.increment.overalljails)

    @staticmethod
    def _weight(spec: JailSpec, earlier: Earlier, at: Instant) -> int:
        """Who was banned before needs fewer failures; those from before that ban count once."""
        return weight(earlier.times, spec.maxretry) if at > earlier.at else 1

    def _until(self, spec: JailSpec, network: Network, at: Instant, earlier: Earlier) -> Instant | None:
        """When a ban that begins now ends; one that stands goes on as long again from its new failure."""
        if spec.bantime is None:
            return None
        if spec.increment is None:
            return at + spec.bantime
        # The ban that stands is among the earlier ones already.
        before = earlier.times - (self.table.of(network, spec.name) is not None)
        return at + spec.increment.seconds(spec.bantime, before, random.random())  # noqa: S311 - no secret

    def forget(self, network: Network, jail: str | None = None) -> set[Network]:
        """Drop the failures that stand against a network, and against the prefix that an address in it
        counts for, as after an unban. Returns what was meant."""
        meant = {network}
        for name, court in self.courts.items():
            if jail in (None, name):
                if network.single:
                    meant.add(network.unit(court.spec.ipv4_prefix, court.spec.ipv6_prefix))
                for one in meant:
                    court.window.forget(one)
                    court.unsure.forget(one)
                    court.patient.forget(one)
        return meant
