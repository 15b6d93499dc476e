"""From a match to a verdict: guard, window, ban. The same for the service and for a replay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sidecar.bans.guard import Guard
from sidecar.bans.table import BanTable
from sidecar.detect.window import Window
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Ban, Event, Extended, Failure, Instant, Match, Network, PrefixSet, Refused, Spent

# While following live, a stamp further off than this is a wrong zone or a late line: it happens now.
_LIVE_TOLERANCE = 60.0


def settle(at: Instant | None, now: Instant, *, live: bool) -> Instant:
    """The time a line counts at: its own; now if it has none, lies ahead, or is far off while live."""
    if at is None or at > now or (live and now - at > _LIVE_TOLERANCE):
        return now
    return at


class Court:
    """One jail with its window and what it ignores."""

    def __init__(self, spec: JailSpec) -> None:
        self.spec = spec
        self.window = Window(spec.findtime, spec.maxretry, spec.maxmatches)
        self.ignored = PrefixSet(spec.ignoreip)


class Judge:
    """Counts matches and bans. Events are returned, nothing else happens: the caller acts on them."""

    def __init__(self, jails: Iterable[JailSpec], guard: Guard, table: BanTable) -> None:
        self.courts = {spec.name: Court(spec) for spec in jails}
        self.guard = guard
        self.table = table

    def judge(self, match: Match, at: Instant, now: Instant) -> Iterator[Event]:
        """What follows from one match that counts at `at`. A ban whose end is already past is none."""
        court = self.courts[match.jail]
        spec = court.spec
        if now - at >= spec.findtime:
            return
        network, refusal = self._whom(match.host, court)
        if network is None or refusal:
            yield Refused(match.host or "", match.jail, at, refusal or "no-address", line=match.line)
            return
        yield Failure(match.jail, network, at, match.line)
        seen = court.window.add(network, at, match.line)
        if seen is None:
            return
        until = None if spec.bantime is None else at + spec.bantime
        if until is not None and until <= now:
            yield Spent(match.jail, network)
            return
        lines = tuple(one.line for one in seen[-spec.maxmatches :] if one.line) if spec.maxmatches else ()
        reason = f"{len(seen)} failures in {spec.findtime:g} s"
        ban = Ban(network, spec.name, at, until, "log", reason, len(seen), lines, dry=spec.dry_run)
        event: Ban | Extended | None = self.table.ban(ban)
        yield event or Spent(match.jail, network)

    def _whom(self, host: str | None, court: Court) -> tuple[Network | None, str | None]:
        """The network that a ban of this host would refuse, or why there is none."""
        if not host:
            return None, "no-address"
        try:
            single = Network.parse(host)
            unit = Network.unit(host, court.spec.ipv4_prefix, court.spec.ipv6_prefix)
        except ValueError:
            return None, "invalid-address"
        refusal = self.guard.refuse(single, court.ignored)
        if refusal is None and unit != single and (self.guard.touches(unit) or court.ignored.inside(unit)):
            # The attacker's prefix also holds somebody who must not be cut off: ban him alone.
            unit = single
        return unit, refusal

    def forget(self, network: Network, jail: str | None = None) -> set[Network]:
        """Drop the failures that stand against a network, and against the prefix that an address in it
        counts for, as after an unban. Returns what was meant."""
        meant = {network}
        for name, court in self.courts.items():
            if jail in (None, name):
                if network.single:
                    spec = court.spec
                    meant.add(Network.unit(network.address, spec.ipv4_prefix, spec.ipv6_prefix))
                for one in meant:
                    court.window.forget(one)
        return meant
