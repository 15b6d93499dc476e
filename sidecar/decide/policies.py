"""The policies: each may refuse a failure, choose another window for it, or prevent a ban.

To add one: write a method with the signature of `Rule` and put it into the list of its stage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from sidecar.bans.history import Earlier
from sidecar.decide.jail_state import JailState
from sidecar.decide.known_good import KnownGood
from sidecar.decide.outcome import CountIn, Outcome, Refuse, Silent
from sidecar.detect.count import corroboration
from sidecar.detect.count.corroboration import Corroboration
from sidecar.detect.count.password_spray import PasswordSprayDetector
from sidecar.detect.count.window import ThresholdReached
from sidecar.model import Instant, LineFacts, Refused, Seconds
from sidecar.network import Network
from sidecar.settings import GoodSettings

# A login that fails within this many seconds of a match of a report-only jail failed because of the server.
_OUTAGE: Seconds = 5.0
# If more known-good clients than this are banned within so many seconds, the server is at fault.
_MOST_FAMILIAR, _BRAKE = 5, 600.0
# The field of the grammar that holds the distinct value of a jail.
_FIELDS = {"recipient": "to", "sender": "from"}


class Case:
    """One failure to decide on: of a `network` at time `at`, in a jail. `facts` is what the grammar of its
    log `source` reads from the line, None for a failure from another host. `until`, the end of a ban, is set
    from the second stage on."""

    __slots__ = (
        "at", "earlier", "facts", "host", "jail", "line", "network", "now", "source", "spec", "sprayed",
        "until",
    )  # fmt: skip

    def __init__(
        self,
        jail: JailState,
        network: Network,
        at: Instant,
        now: Instant,
        line: str,
        earlier: Earlier,
        host: str,
        facts: LineFacts | None = None,
        source: str = "",
    ) -> None:
        self.jail, self.spec, self.network, self.at, self.now = jail, jail.spec, network, at, now
        self.line, self.earlier, self.host, self.facts, self.source = line, earlier, host, facts, source
        self.sprayed = False
        self.until: Instant | None = None

    def refused(self, reason: str) -> Refused:
        """The event for a failure that does not count."""
        client = self.facts and self.facts.client
        return Refused(self.host, self.spec.name, self.at, reason, client, self.line)


Rule: TypeAlias = Callable[[Case], Outcome | None]


class Policy(NamedTuple):
    """A rule, its name, and the jails that it applies to."""

    name: str
    applies: Callable[[JailState], bool]
    rule: Rule


def _counts_logins(jail: JailState) -> bool:
    return jail.spec.count == "logins"


def _every_jail(_jail: JailState) -> bool:
    return True


class Policies:
    """The rules in order; the first result other than None decides."""

    def __init__(self, known_good: KnownGood, corroborated: Corroboration, good: GoodSettings) -> None:
        self._known_good, self._corroborated, self.good = known_good, corroborated, good
        self.spray = PasswordSprayDetector()
        # SSH clients of this host, which are not banned because of a log.
        self.admins: set[Network] = set()
        # When each report-only jail matched last.
        self._reported: dict[str, Instant] = {}
        # Applied before a failure is counted.
        self.counting = (
            Policy(
                "spared peers", lambda jail: jail.spec.spare_peers or jail.spec.spare_good, self._spared_peer
            ),
            Policy("outage", lambda jail: bool(jail.spec.excused_by), self._outage),
            Policy("excused login", _counts_logins, self._excused_login),
            Policy("duplicate login", lambda jail: jail.repeats_logins, self._duplicate_login),
            Policy("repeated value", lambda jail: bool(jail.spec.distinct), self._repeated_value),
            Policy("note password spray", _counts_logins, self._note_spray),
            Policy("known good", _counts_logins, self._count_known_good),
            Policy("ban password spray", lambda jail: jail.spec.most_addresses > 0, self._ban_spray),
            Policy(
                "unconfirmed", lambda jail: jail.spec.maxretry < corroboration.ENOUGH, self._count_unconfirmed
            ),
        )
        # Applied when the failures of a network reach maxretry.
        self.banning = (
            Policy("admin session", _every_jail, self._admin_session),
            Policy("brake", _every_jail, self._brake),
            Policy("short first ban", _every_jail, self._short_first_ban),
            Policy("over already", _every_jail, self._over_already),
        )

    def report(self, jail: str, at: Instant) -> None:
        """A report-only jail matched, see `_outage`."""
        self._reported[jail] = at

    def _spared_peer(self, case: Case) -> Outcome | None:
        """Refuse mail servers that mail is delivered to, and clients with recent logins, if the jail spares
        them."""
        good, spec, network, at = self._known_good, case.spec, case.network, case.at
        spared = spec.spare_peers and good.mail_servers.is_known(network, at)
        return (
            Refuse("known-good")
            if spared or (spec.spare_good and good.clients.is_known(network, at))
            else None
        )

    def _outage(self, case: Case) -> Outcome | None:
        """Refuse a login that failed while a report-only jail reported a fault of the server."""
        if case.facts is None or not case.facts.protocol:
            return None
        reported = self._reported.get(case.spec.excused_by)
        near = reported is not None and abs(case.at - reported) <= _OUTAGE
        return Refuse("not-counted") if near else None

    def _excused_login(self, case: Case) -> Outcome | None:
        """Refuse a login that failed for a reason that is not the client's fault, such as a locked
        account."""
        return Refuse("not-counted") if case.facts is not None and case.facts.excused else None

    def _duplicate_login(self, case: Case) -> Outcome | None:
        """Skip a line about a login that another log or component has already reported."""
        jail, facts = case.jail, case.facts
        if facts is None or jail.logins is None:
            return None
        # A component may log one login with two messages; the first word tells them apart.
        word = facts.fields.get("message", "").partition(" ")[0]
        voice = f"{case.source} {facts.fields.get('component', '')} {word}"
        return None if jail.logins.new(case.network, facts.account, voice, case.at) else Silent.DUPLICATE

    def _repeated_value(self, case: Case) -> Outcome | None:
        """Skip an account or recipient that this client tried before, if the jail counts distinct ones."""
        distinct, facts = case.jail.distinct, case.facts
        if distinct is None or facts is None:
            return None
        field = _FIELDS.get(case.spec.distinct)
        value = facts.fields.get(field) if field else facts.account
        return Silent.DUPLICATE if value and not distinct.new(case.network, value, case.at) else None

    def _note_spray(self, case: Case) -> Outcome | None:
        """Record which address tried which account. Decides nothing."""
        if case.facts is not None and case.facts.account:
            tried = self.spray.see(case.network, case.facts.account, case.at)
            case.sprayed = 0 < case.spec.most_addresses <= tried
        return None

    def _count_known_good(self, case: Case) -> Outcome | None:
        """Count a known-good client's failures for its own account in a window with more tries."""
        clients, facts = self._known_good.clients, case.facts
        if facts is None or not clients.is_known(case.network, case.at):
            return None
        if facts.account and not clients.owns(case.network, facts.account, case.at):
            # It tries other accounts than its own, so it is no phone with an old password.
            clients.spoil(case.network, case.at + case.spec.findtime)
            return None
        return CountIn(case.jail.known_good_window, "known-good")

    def _ban_spray(self, case: Case) -> Outcome | None:
        """Ban an address at once if many addresses try the same account."""
        if case.sprayed and self._is_corroborated(case):
            return ThresholdReached(1, (case.line,), case.at)
        return None

    def _count_unconfirmed(self, case: Case) -> Outcome | None:
        """Count a failure separately if only a log that clients can write to reports it."""
        return None if self._is_corroborated(case) else CountIn(case.jail.unconfirmed_window, "unconfirmed")

    def _is_corroborated(self, case: Case) -> bool:
        return self._corroborated.is_corroborated(case.network, case.source, case.at)

    def _admin_session(self, case: Case) -> Outcome | None:
        """Refuse to ban a network that covers the SSH session of an administrator."""
        within = any(case.network.covers(admin) for admin in self.admins)
        return Refuse("admin-session", clears=True) if within else None

    def _brake(self, case: Case) -> Outcome | None:
        """Refuse the ban if many known-good clients were banned recently: the server is at fault."""
        if not self._known_good.clients.is_known(case.network, case.at):
            return None
        bans = case.jail.familiar_bans
        while bans and bans[0] <= case.at - _BRAKE:
            bans.popleft()
        if len(bans) >= _MOST_FAMILIAR:
            return Refuse("brake")
        bans.append(case.at)
        return None

    def _short_first_ban(self, case: Case) -> Outcome | None:
        """Shorten the first ban of a known-good client. If the failures go on, it is banned as any other."""
        clients = self._known_good.clients
        if clients.is_known(case.network, case.at):
            short = case.at + self.good.first_ban
            case.until = short if case.until is None else min(case.until, short)
            clients.spoil(case.network, short + case.spec.findtime)
        return None

    def _over_already(self, case: Case) -> Outcome | None:
        """Make no ban that would have ended already, because a log was read late."""
        return Silent.OVER if case.until is not None and case.until <= case.now else None
