"""One jail with its windows, and why a match counts for nothing in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial

from sidecar.bans.guard import Guard
from sidecar.detect.count import corroboration
from sidecar.detect.count.distinct import Distinct
from sidecar.detect.count.duplicate_logins import Logins
from sidecar.detect.count.evidence import Evidence
from sidecar.detect.count.window import Window
from sidecar.detect.grammar import of_log
from sidecar.detect.grammar.postfix import repeated
from sidecar.fail2ban.ignore.ignoring import is_name
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Instant, Match
from sidecar.network import Network, PrefixSet

# In which field of the grammar a distinct value stands.
_FIELDS = {"recipient": "to", "sender": "from"}
_MOST_KNOWN = 20_000
# However often syslog says that a line was repeated, it counts no more often.
_MOST_REPEATED = 20
# More known-good clients than these, banned within so many seconds, are no attackers.
_MOST_FAMILIAR, _BRAKE_SECONDS = 5, 600.0


def doubts(spec: JailSpec) -> bool:
    """Whether a jail bans after fewer lines of a log that may be forged than are believed."""
    bans = spec.maxretry < corroboration.ENOUGH and not (spec.report_only or spec.confirms)
    return bans and any(corroboration.forgeable(log.glob) for log in spec.logpath)


class JailState:
    """One jail with its window and what it ignores."""

    def __init__(self, spec: JailSpec, evidence: Evidence, guard: Guard, patience: int) -> None:
        self.spec = spec
        self.window = Window(spec.findtime, spec.maxretry, spec.maxmatches, evidence)
        # What only a log says that may be forged.
        self.unsure = Window(spec.findtime, corroboration.ENOUGH, spec.maxmatches, evidence)
        # Whom somebody logged in from gets more of a chance.
        self.patient = Window(spec.findtime, spec.maxretry * patience, spec.maxmatches, evidence)
        self._familiar: deque[Instant] = deque()
        self.logins = Logins() if spec.count == "logins" else None
        # Of one log in which each login leaves one line, each line is another login.
        kinds = {of_log(log.glob) or log.glob for log in spec.logpath}
        self._voices = len(kinds) > 1 or "mailbox" in kinds
        self.distinct = Distinct(spec.findtime) if spec.distinct else None
        # An attacker's address stands on thousands of lines; what it means is found out once.
        self._known: dict[str | None, tuple[Network | None, str | None]] = {}
        self.spare(guard, PrefixSet(spec.ignoreip), PrefixSet())

    def take_over(self, before: JailState) -> None:
        """Go on with what this jail counted before its configuration changed, as far as it still counts."""
        spec, was = self.spec, before.spec
        same = (spec.ipv4_prefix, spec.ipv6_prefix) == (was.ipv4_prefix, was.ipv6_prefix)
        unit = (
            None
            if same
            else partial(Network.unit, ipv4_prefix=spec.ipv4_prefix, ipv6_prefix=spec.ipv6_prefix)
        )
        for mine, other in (
            (self.window, before.window), (self.unsure, before.unsure), (self.patient, before.patient),
        ):  # fmt: skip
            mine.take_over(other, unit)
        self._familiar = before._familiar
        self.logins = self.logins and (before.logins or self.logins)
        if self.distinct and (spec.distinct, spec.findtime) == (was.distinct, was.findtime):
            self.distinct = before.distinct

    def spare(self, guard: Guard, ignored: PrefixSet, suspects: PrefixSet) -> None:
        """Whom no ban of this jail may touch from now on; `suspects` are proxies that nobody named."""
        self._guard, self.ignored, self._suspects = guard, ignored, suspects
        # Most attackers are nobody that any list knows, and that is one question.
        self.matters = guard.matters([*ignored, *suspects])
        self._known.clear()

    def prune(self, now: Instant) -> Iterator[None]:
        """Drop what counts no more, a part at each step."""
        for window in (self.window, self.unsure, self.patient):
            yield from window.prune(now)

    def whom(self, host: str | None) -> tuple[Network | None, str | None]:
        """The network that a ban of this host would refuse, or why there is none."""
        found = self._known.get(host)
        if found is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            found = self._known[host] = self._find_out(host)
        return found

    def _find_out(self, host: str | None) -> tuple[Network | None, str | None]:
        if not host:
            return None, "no-address"
        spec, guard = self.spec, self._guard
        try:
            single = Network.around(host)
        except ValueError:
            looked_up = spec.filter.names and is_name(host)
            return None, "unresolved" if looked_up else "invalid-address"
        unit = single.unit(spec.ipv4_prefix, spec.ipv6_prefix) if single.single else single
        if unit.length >= guard.widest[unit.version] and not self.matters.touch(unit):
            return unit, None
        refusal = guard.refuse(single, self.ignored)
        if refusal is None and not single.single and self.ignored.inside(single):
            # A network that a line names, with somebody in it whom this jail ignores.
            refusal = "ignored"
        if refusal is None and self._suspects.covering(single) is not None:
            refusal = "untrusted-proxy"
        spared = guard.touches(unit) or self.ignored.inside(unit) or self._suspects.inside(unit)
        if refusal is None and unit != single and spared:
            # The attacker's prefix also holds somebody who must not be cut off: ban him alone.
            unit = single
        return unit, refusal

    def times(self, match: Match) -> int:
        """How many logins a line tells of: syslog gathers equal ones as "message repeated 2 times"."""
        told = match.said.fields.get("times") if match.said else None
        return 1 if told is None else self._times(told)

    def times_of(self, line: str) -> int:
        """As `times`, of the line of a failure of an earlier run."""
        return self._times(repeated(line))

    def _times(self, told: str) -> int:
        many = int(told) if self.logins is not None and told.isdecimal() else 1
        return max(1, min(many, _MOST_REPEATED))

    def objection(self, match: Match) -> str | None:
        """Why a match counts for nothing in this jail, whatever came before it."""
        if self.spec.report_only:
            return "report-only"
        excused = self.logins is not None and match.said is not None and match.said.excused
        return "not-counted" if excused else None

    def passed_over(self, match: Match, network: Network, at: Instant) -> str | None:
        """Why a match counts for nothing: a word of `refused_total`, or nothing ("") where it only says again
        what was counted."""
        if objection := self.objection(match):
            return objection
        said = match.said
        if said is None:
            return None
        if self.logins is not None and self._voices:
            # A component may tell of one login in two ways: by its first word they are two voices.
            told = said.fields.get("message", "").partition(" ")[0]
            voice = f"{match.source} {said.fields.get('component', '')} {told}"
            if not self.logins.new(network, said.account, voice, at):
                return ""
        if self.distinct is not None:
            field = _FIELDS.get(self.spec.distinct)
            value = said.fields.get(field) if field else said.account
            if value and not self.distinct.new(network, value, at):
                return ""
        return None

    def brakes(self, at: Instant) -> bool:
        """Whether this jail has banned so many known-good clients lately that the fault is ours."""
        while self._familiar and self._familiar[0] <= at - _BRAKE_SECONDS:
            self._familiar.popleft()
        if len(self._familiar) >= _MOST_FAMILIAR:
            return True
        self._familiar.append(at)
        return False
