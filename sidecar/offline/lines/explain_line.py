"""Explains log lines: what the grammar reads, which jails count the line, and why it does not count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from sidecar.bans.guard import Guard
from sidecar.bans.register import BanRegister
from sidecar.configuration.loading import Loaded, host_zone, protected, trust
from sidecar.decide.engine import DecisionEngine
from sidecar.detect import grammar
from sidecar.detect.match.matcher import LONGEST_LINE
from sidecar.detect.match.secrets import without_secrets
from sidecar.detect.scanner import Scanner
from sidecar.fail2ban import jails
from sidecar.fail2ban.dates.detector import LineDates
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import NOBODY, Instant, LineFacts, Match, Refused, Slow

# Reason of a refused line that has no other client.
_UNREAD = "line-too-long"
# The reason if no jail reads such a log.
_UNWATCHED = "no-jail"


class LineExplainer:
    """Explains lines of one kind of log. `everything`: as if all jails that read it were enabled."""

    def __init__(self, loaded: Loaded, kind: str, *, everything: bool, zone: Any = None) -> None:
        self._known = {jail.name: jail for jail in _reading(loaded, kind, everything=everything)}
        zone = zone or host_zone()
        self._trust = trust(loaded.settings)
        self._scanner = Scanner(kind, list(self._known.values()), zone, self._trust)
        kernel = loaded.settings.kernel
        guard = Guard(protected(loaded.settings), {4: kernel.widest_ipv4, 6: kernel.widest_ipv6})
        self._engine = DecisionEngine(self._known.values(), guard, BanRegister())
        first = next(iter(self._known.values()), None)
        self._dates = LineDates(zone, first.filter.datepattern if first else ())
        self._kind, self._grammar = kind, grammar.chosen(None, kind)

    def explain(self, lines: Iterable[str], now: Instant) -> Iterator[dict[str, Any]]:
        """One record per line, as contract.md defines it."""
        for line in lines:
            yield self._one(line.rstrip("\n"), now)

    def _one(self, line: str, now: Instant) -> dict[str, Any]:
        data = line.encode("utf-8", "surrogateescape")
        if len(data) > LONGEST_LINE:
            return _record(NOBODY, [], counts=False, reason=_UNREAD)
        facts = self._facts(line, now)
        told = [one for one in self._scanner.scan(data + b"\n", now) if not isinstance(one, Slow)]
        reasons = [self._reason(one, now) for one in told]
        matches = [self._match(one) for one in told]
        if None in reasons:
            return _record(facts, matches, counts=True, reason=None)
        reason = next((r for r in reasons if r), self._without(facts))
        return _record(facts, matches, counts=False, reason=reason)

    def _without(self, facts: LineFacts) -> str:
        """Why a line that no filter matches does not count."""
        if not self._known:
            return _UNWATCHED
        return "not-counted" if facts.excused else "no-match"

    def _facts(self, line: str, now: Instant) -> LineFacts:
        if self._grammar is None:
            return NOBODY
        text = self._dates.of(line, now)[1]
        facts = self._grammar(text, self._trust) or NOBODY
        return facts._replace(fields={**grammar.details(self._kind, text), **facts.fields})

    def _reason(self, told: Match | Refused, now: Instant) -> str | None:
        """Why this match does not count, None if it does."""
        return told.reason if isinstance(told, Refused) else self._engine.objection(told)

    def _match(self, told: Match | Refused) -> dict[str, Any]:
        framed = isinstance(told, Refused) and told.reason == "framed"
        return {
            "jail": told.jail,
            "filter": self._known[told.jail].filter.name,
            "host": told.host or None,
            "framed": framed,
            "reason": self._reason(told, 0.0),
        }


def _record(
    facts: LineFacts, matches: list[dict[str, Any]], *, counts: bool, reason: str | None
) -> dict[str, Any]:
    return {
        "client": facts.client,
        "account": facts.account or None,
        "fields": {name: without_secrets(value) for name, value in facts.fields.items()},
        "matches": matches,
        "counts": counts,
        "good": facts.good,
        "reason": reason,
    }


def _reading(loaded: Loaded, kind: str, *, everything: bool) -> Iterator[JailSpec]:
    """The jails that read a log with this name."""
    found = loaded.jails.jails
    if everything:
        every = (jails.one(loaded.files, name)[0] for name in loaded.files.jails().sections)
        found = {jail.name: jail for jail in every if jail is not None} | found
    for jail in found.values():
        names = [(jail.log or log.glob).rpartition("/")[2] for log in jail.logpath]
        if not jail.confirms and any(name.startswith(kind) or fnmatchcase(kind, name) for name in names):
            yield jail
