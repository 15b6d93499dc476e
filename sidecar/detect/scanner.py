"""One log, read for all jails that watch it: blocks in, matches with the one who may be blamed out."""

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
    """What one scan has read: whole lines, bytes, and candidates that the prefilter let through."""

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


class Scanner:
    """All jails of one log. Keeps no failure: it says what each line is, and of whom.

    `zone` is the host's, for logs whose jail names no `logtimezone` and whose dates carry none. `prefilter`
    is that of another log of the same jails: to make one takes longer than all the rest. `before` read the
    log until now: jails whose filter did not change go on with their sessions.
    """

    def __init__(
        self,
        path: str,
        jails: Sequence[JailSpec],
        zone: tzinfo,
        trust: Trust,
        prefilter: Prefilter | None = None,
        before: Scanner | None = None,
    ) -> None:
        self.path = path
        self.tally: Tally = before.tally if before else Tally()
        self._trust = trust
        self.jails = tuple(jail.name for jail in jails)
        self.prefilter = prefilter or Prefilter.of(jails)
        # Jails that find dates in the same way share them: a line is dated once.
        self._dates: dict[tuple[tzinfo | None, tuple[str, ...]], LineDates] = {}
        dates = self._dates
        dates |= before._dates if before else {}
        known = {reader.name: reader for reader in before._readers} if before else {}
        self._readers: list[_Reader] = []
        for jail in jails:
            key = (jail.logtimezone, jail.filter.datepattern)
            found = dates.setdefault(key, LineDates(jail.logtimezone or zone, jail.filter.datepattern))
            old = known.get(jail.name)
            goes_on = old is not None and _read_alike(old.jail, jail)
            matcher = old.matcher if old and goes_on else Matcher(jail.filter, zone, found)
            blame = chosen(jail.filter.grammar, path)
            self._readers.append(_Reader(jail, jail.name, jail.logencoding, matcher, blame))
        # A jail that names a zone for the log knows better than what could be learnt.
        self._untold = [found for (told, _), found in dates.items() if told is None]
        self._first_untold = next((jail for jail in jails if jail.logtimezone is None), None)

    @property
    def datepattern(self) -> list[str] | None:
        """How dates of this log are found whose zone nobody told; None if every jail tells it."""
        return list(self._first_untold.filter.datepattern) if self._first_untold else None

    def at_zone(self, zone: tzinfo) -> None:
        """From now on, dates that name no zone are read in this one, where no jail says otherwise."""
        for dates in self._untold:
            dates.detector.zone = zone

    def when(self, raw: bytes, now: Instant) -> Instant | None:
        """When a line happened, None if it has no date."""
        if not self._readers:
            return None
        line = self.decode(raw)
        return self._readers[0].matcher.when(line, now)

    def decode(self, raw: bytes) -> str:
        """A line as text, as the first jail reads it."""
        return _decoded(raw, self._readers[0].encoding if self._readers else "utf-8")

    def quarantined(self, now: Instant) -> list[Slow]:
        """The regexes that are left out now, and until when."""
        return [
            Slow(reader.name, regex, until)
            for reader in self._readers
            for regex, until in reader.matcher.quarantine.until.items()
            if until > now
        ]

    def scan(self, data: bytes, now: Instant) -> list[Match | Refused | Slow]:
        """Every match in a block of whole lines, in order; refusals are matches nobody can be blamed for.

        `now` resolves dates that name no year.
        """
        return self.match(self.prefilter.sift(data), now)

    def match(self, sifted: Sifted, now: Instant) -> list[Match | Refused | Slow]:
        """As `scan`, for a block that was sifted by this scanner's `prefilter`."""
        self.tally.lines += sifted.lines
        self.tally.bytes += sifted.bytes
        self.tally.candidates += len(sifted.candidates)
        told: list[Match | Refused | Slow] = []
        for raw, wanted in sifted.candidates:
            if len(raw) > LONGEST_LINE:
                told.append(Refused("", self._readers[wanted[0][0]].name, None, "line-too-long"))
                continue
            encoding, line = "", ""
            for place, indexes in wanted:
                reader = self._readers[place]
                if reader.encoding != encoding:
                    encoding = reader.encoding
                    line = _decoded(raw, encoding)
                found = self._one(reader, line, now, indexes)
                if found is not None:
                    told.append(found)
        return told

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
        said = reader.blame(text, self._trust) if reader.blame is not None else None
        if said is None or reader.jail.report_only:
            return Match(name, said.client if said else host, at, evidence, self.path, said)
        if refusal := refused(said, host):
            named = said.client or said.masked or said.named or None
            return Refused(said.relay or host or "", name, at, refusal, named, evidence)
        return Match(name, said.client, at, evidence, self.path, said)

    @staticmethod
    def _slow(name: str, matcher: Matcher, at: Instant | None, line: str, now: Instant) -> Refused | Slow:
        """A line that a regex worked on for too long, or that one in quarantine should have looked at."""
        regex = matcher.slow or ""
        if matcher.overran:
            return Slow(name, regex, matcher.quarantine.overran(regex, now), line)
        return Refused("", name, at, "slow-regex", None, line)


def _read_alike(one: JailSpec, other: JailSpec) -> bool:
    """Whether two jails find the same in a line."""
    return (one.filter.meaning, one.logencoding, one.logtimezone) == (
        other.filter.meaning, other.logencoding, other.logtimezone,
    )  # fmt: skip


def _decoded(raw: bytes, encoding: str) -> str:
    return raw.rstrip(b"\r").decode(encoding, "replace")


def refused(said: LineFacts, host: str | None) -> str | None:
    """Why a line of this grammar does not count against the host that a regex finds in it, as a word of
    `refused_total`; None if it counts against the grammar's client."""
    if said.client is None:
        return "untrusted-proxy" if said.relay else "masked" if said.masked else "no-client"
    return "framed" if host is not None and not _same(host, said.client) else None


def _same(host: str, client: str) -> bool:
    try:
        return host == client or Network.parse(host) == Network.parse(client)
    except ValueError:
        return False
