"""Scans the blocks of one log for all its jails: returns matches with the client to blame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from sidecar.detect.grammar import Grammar, Trust, chosen
from sidecar.detect.match.matcher import LONGEST_LINE, Matcher, Outcome
from sidecar.detect.match.secrets import without_secrets
from sidecar.detect.prefilter.prefilter import Prefilter, Sifted
from sidecar.fail2ban.dates.detector import LineDates
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Instant, LineFacts, Match, Refused, Slow
from sidecar.network import Network


@dataclass(slots=True)
class Tally:
    """Totals of a scan: lines, bytes, and candidate lines of the prefilter."""

    lines: int = 0
    bytes: int = 0
    candidates: int = 0


@dataclass(frozen=True, slots=True)
class _Reader:
    """One jail that reads the log."""

    jail: JailSpec
    name: str
    encoding: str
    matcher: Matcher
    blame: Grammar | None
    log: str


class Scanner:
    """Matches the lines of one log against all its jails. Does not count failures.

    `zone` is the host's, for dates without a zone in jails without `logtimezone`. `prefilter` may be that of
    another log of the same jails, since building one is slow. `before` is the previous scanner of this log:
    jails with an unchanged filter keep their sessions. `log` is the file name that
    selects the grammar where neither filter nor jail names one, "" for that of `path`.
    """

    def __init__(
        self,
        path: str,
        jails: Sequence[JailSpec],
        zone: tzinfo,
        trust: Trust,
        prefilter: Prefilter | None = None,
        before: Scanner | None = None,
        log: str = "",
    ) -> None:
        self.path = path
        self.tally: Tally = before.tally if before else Tally()
        self._trust = trust
        self.jails = tuple(jail.name for jail in jails)
        self.prefilter = prefilter or Prefilter.of(jails)
        # Shared by jails with the same zone and date patterns, so that a line is dated once.
        self._dates: dict[tuple[tzinfo | None, tuple[str, ...]], LineDates] = {}
        dates = self._dates
        dates |= before._dates if before else {}
        known = {reader.name: reader for reader in before._readers} if before else {}
        self._readers: list[_Reader] = []
        for jail in jails:
            key = (jail.logtimezone, jail.filter.datepattern)
            found = dates.setdefault(key, LineDates(jail.logtimezone or zone, jail.filter.datepattern))
            old = known.get(jail.name)
            unchanged = old is not None and _match_alike(old.jail, jail)
            matcher = old.matcher if old and unchanged else Matcher(jail.filter, zone, found)
            name = jail.log or log or path
            blame = chosen(jail.filter.grammar, name)
            self._readers.append(_Reader(jail, jail.name, jail.logencoding, matcher, blame, name))
        self.log = next((jail.log for jail in jails if jail.log), log or path)
        # Only these use a learnt zone; a configured logtimezone takes precedence.
        self._unzoned = [found for (named, _), found in dates.items() if named is None]
        self._first_unzoned = next((jail for jail in jails if jail.logtimezone is None), None)

    @property
    def datepattern(self) -> list[str] | None:
        """The date patterns of the first jail without `logtimezone`; None if all jails have one."""
        return list(self._first_unzoned.filter.datepattern) if self._first_unzoned else None

    def at_zone(self, zone: tzinfo) -> None:
        """Set the zone of dates that name none, for jails without `logtimezone`."""
        for dates in self._unzoned:
            dates.detector.zone = zone

    def when(self, raw: bytes, now: Instant) -> Instant | None:
        """The time in a line, None if it has no date."""
        if not self._readers:
            return None
        line = self.decode(raw)
        return self._readers[0].matcher.when(line, now)

    def decode(self, raw: bytes) -> str:
        """A line as text, in the encoding of the first jail."""
        return _decoded(raw, self._readers[0].encoding if self._readers else "utf-8")

    def quarantined(self, now: Instant) -> list[Slow]:
        """The regexes in quarantine."""
        return [
            Slow(reader.name, regex, until)
            for reader in self._readers
            for regex, until in reader.matcher.quarantine.until.items()
            if until > now
        ]

    def matched(self, jail: str) -> list[int]:
        """The number of lines that each failregex of a jail matched; empty for a jail that does not read this
        log."""
        return next((reader.matcher.matched for reader in self._readers if reader.name == jail), [])

    def scan(self, data: bytes, now: Instant) -> list[Match | Refused | Slow]:
        """All matches in a block of whole lines, in order. A match without a client to blame is a Refused.

        `now` resolves dates without a year.
        """
        return self.match(self.prefilter.sift(data), now)

    def match(self, sifted: Sifted, now: Instant) -> list[Match | Refused | Slow]:
        """As `scan`, for a block already filtered by this scanner's `prefilter`."""
        self.tally.lines += sifted.lines
        self.tally.bytes += sifted.bytes
        self.tally.candidates += len(sifted.candidates)
        events: list[Match | Refused | Slow] = []
        for raw, wanted in sifted.candidates:
            if len(raw) > LONGEST_LINE:
                events.append(Refused("", self._readers[wanted[0][0]].name, None, "line-too-long"))
                continue
            encoding, line = "", ""
            for place, indexes in wanted:
                reader = self._readers[place]
                if reader.encoding != encoding:
                    encoding = reader.encoding
                    line = _decoded(raw, encoding)
                found = self._one(reader, line, now, indexes)
                if found is not None:
                    events.append(found)
        return events

    def _one(
        self, reader: _Reader, line: str, now: Instant, indexes: tuple[int, ...]
    ) -> Match | Refused | Slow | None:
        name, matcher = reader.name, reader.matcher
        found = matcher.blames(line, now, indexes)
        if found is None:
            return self._slow(name, matcher, None, line, now) if matcher.slow else None
        if isinstance(found, Outcome):
            if matcher.slow and not found.matched:
                return self._slow(name, matcher, found.at, line, now)
            if not found.matched:
                return None
            host, at, text = found.host, found.at, found.text
            evidence = line if len(found.lines) < 2 else "\n".join(found.lines)
        else:
            host, at, text = found
            evidence = line
        evidence = without_secrets(evidence)
        facts = reader.blame(text, self._trust) if reader.blame is not None else None
        if facts is None or reader.jail.report_only:
            return Match(name, facts.client if facts else host, at, evidence, reader.log, facts)
        if refusal := refused(facts, host):
            named = facts.client or facts.masked or facts.named or None
            return Refused(facts.relay or host or "", name, at, refusal, named, evidence)
        return Match(name, facts.client, at, evidence, reader.log, facts)

    @staticmethod
    def _slow(name: str, matcher: Matcher, at: Instant | None, line: str, now: Instant) -> Refused | Slow:
        """The event for a line on which a regex exceeded its time budget, or was in quarantine."""
        regex = matcher.slow or ""
        if matcher.overran:
            return Slow(name, regex, matcher.quarantine.overran(regex, now), line)
        return Refused("", name, at, "slow-regex", None, line)


def _match_alike(one: JailSpec, other: JailSpec) -> bool:
    """Whether two jails match the same lines in the same way."""
    return (one.filter.meaning, one.logencoding, one.logtimezone) == (
        other.filter.meaning, other.logencoding, other.logtimezone,
    )  # fmt: skip


def _decoded(raw: bytes, encoding: str) -> str:
    return raw.rstrip(b"\r").decode(encoding, "replace")


def refused(facts: LineFacts, host: str | None) -> str | None:
    """The reason (a label of `refused_total`) why a line does not count against the host that a regex found;
    None if it counts against the client found by the grammar."""
    if facts.client is None:
        return "untrusted-proxy" if facts.relay else "masked" if facts.masked else "no-client"
    return "framed" if host is not None and not _same(host, facts.client) else None


def _same(host: str, client: str) -> bool:
    try:
        return host == client or Network.parse(host) == Network.parse(client)
    except ValueError:
        return False
