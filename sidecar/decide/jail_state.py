"""The state of one jail: its windows and its ignored networks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from sidecar.bans.guard import Guard
from sidecar.detect.count import corroboration
from sidecar.detect.count.distinct import Distinct
from sidecar.detect.count.duplicate_logins import DuplicateLogins
from sidecar.detect.count.evidence import Evidence
from sidecar.detect.count.window import Window
from sidecar.detect.grammar import of_log
from sidecar.detect.grammar.postfix import repeated
from sidecar.fail2ban.ignore.ignoreip import is_name
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Instant, Match
from sidecar.network import Network, PrefixSet

_MOST_TARGETS = 20_000
# Maximum number of logins counted for one "message repeated N times" line of syslog.
_MOST_REPEATED = 20


def needs_confirmation(spec: JailSpec) -> bool:
    """Whether a jail bans after fewer lines than a log that clients can write to proves on its own."""
    bans = spec.maxretry < corroboration.ENOUGH and not (spec.report_only or spec.confirms)
    return bans and any(corroboration.forgeable(spec.log or log.glob) for log in spec.logpath)


class JailState:
    """The windows of one jail, and the networks that it ignores.

    `window` counts failures. `unconfirmed_window` counts failures known only from a log that clients can
    write to, `known_good_window` failures of clients with a recent login. `familiar_bans` are the times of
    the last bans of known-good clients.
    """

    def __init__(self, spec: JailSpec, evidence: Evidence, guard: Guard, patience: int) -> None:
        self.spec = spec
        self.window = Window(spec.findtime, spec.maxretry, spec.maxmatches, evidence)
        self.unconfirmed_window = Window(spec.findtime, corroboration.ENOUGH, spec.maxmatches, evidence)
        self.known_good_window = Window(spec.findtime, spec.maxretry * patience, spec.maxmatches, evidence)
        self.familiar_bans: deque[Instant] = deque()
        self.logins = DuplicateLogins() if spec.count == "logins" else None
        # If the jail reads a single log with one line per login, there are no duplicate lines.
        kinds = {of_log(spec.log or log.glob) or log.glob for log in spec.logpath}
        self.repeats_logins = self.logins is not None and (len(kinds) > 1 or "mailbox" in kinds)
        self.distinct = Distinct(spec.findtime) if spec.distinct else None
        # An attacker's address occurs in thousands of lines, so its target is cached.
        self._targets: dict[str | None, tuple[Network | None, str | None]] = {}
        self.spare(guard, PrefixSet(spec.ignoreip), PrefixSet())

    def take_over(self, before: JailState) -> None:
        """Take over the failures that this jail counted before its configuration changed, if they still
        count."""
        spec, was = self.spec, before.spec
        same = (spec.ipv4_prefix, spec.ipv6_prefix) == (was.ipv4_prefix, was.ipv6_prefix)
        unit = None if same else self.unit_of
        for mine, other in zip(self.windows(), before.windows(), strict=True):
            mine.take_over(other, unit)
        self.familiar_bans = before.familiar_bans
        self.logins = self.logins and (before.logins or self.logins)
        if self.distinct and (spec.distinct, spec.findtime) == (was.distinct, was.findtime):
            self.distinct = before.distinct

    def windows(self) -> tuple[Window, Window, Window]:
        """All windows of the jail."""
        return self.window, self.unconfirmed_window, self.known_good_window

    def unit_of(self, network: Network) -> Network:
        """The prefix that this jail counts and bans for an address."""
        return network.unit(self.spec.ipv4_prefix, self.spec.ipv6_prefix)

    def spare(self, guard: Guard, ignored: PrefixSet, suspects: PrefixSet) -> None:
        """Set the networks that this jail must not ban. `suspects` are suspected proxies."""
        self._guard, self.ignored, self._suspects = guard, ignored, suspects
        # Most attackers are in none of these lists, which takes one lookup.
        self._matters = guard.matters([*ignored, *suspects])
        self._targets.clear()

    def prune(self, now: Instant) -> Iterator[None]:
        """Drop failures that no longer count, one part per step."""
        for window in self.windows():
            yield from window.prune(now)

    def forget(self, network: Network) -> set[Network]:
        """Drop the failures of a network, and of the prefix that an address counts for. Returns both."""
        meant = {network, self.unit_of(network)} if network.single else {network}
        for one in meant:
            for window in self.windows():
                window.forget(one)
        return meant

    def ban_target(self, host: str | None) -> tuple[Network | None, str | None]:
        """The network that a ban of this host would refuse, and why it must not be banned (a label of
        refused_total)."""
        found = self._targets.get(host)
        if found is None:
            if len(self._targets) >= _MOST_TARGETS:
                self._targets.clear()
            found = self._targets[host] = self._find_target(host)
        return found

    def _find_target(self, host: str | None) -> tuple[Network | None, str | None]:
        if not host:
            return None, "no-address"
        guard = self._guard
        try:
            single = Network.around(host)
        except ValueError:
            looked_up = self.spec.filter.names and is_name(host)
            return None, "unresolved" if looked_up else "invalid-address"
        unit = self.unit_of(single) if single.single else single
        if unit.length >= guard.widest[unit.version] and not self._matters.touch(unit):
            return unit, None
        refusal = guard.refuse(single, self.ignored)
        if refusal is None and not single.single and self.ignored.inside(single):
            # The line names a network that contains an address which the jail ignores.
            refusal = "ignored"
        if refusal is None and self._suspects.covering(single) is not None:
            refusal = "untrusted-proxy"
        spared = guard.touches(unit) or self.ignored.inside(unit) or self._suspects.inside(unit)
        if refusal is None and unit != single and spared:
            # The prefix also contains a protected address, so only the attacker's own address is banned.
            unit = single
        return unit, refusal

    def repetitions(self, match: Match) -> int:
        """How many logins a line stands for: syslog replaces equal lines by "message repeated 2 times"."""
        times = match.facts.fields.get("times") if match.facts else None
        return 1 if times is None else self._bounded(times)

    def repetitions_in(self, line: str) -> int:
        """As `repetitions`, for the line of a failure from the database."""
        return self._bounded(repeated(line))

    def _bounded(self, times: str) -> int:
        number = int(times) if self.logins is not None and times.isdecimal() else 1
        return max(1, min(number, _MOST_REPEATED))
