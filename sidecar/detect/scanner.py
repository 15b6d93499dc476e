"""One log, read for all jails that watch it: blocks in, matches with the one who may be blamed out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from sidecar.detect import grammar
from sidecar.detect.grammar import Grammar, Trust
from sidecar.detect.matcher import LONGEST_LINE, Matcher
from sidecar.detect.prefilter import Prefilter
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Instant, Match, Network, Refused


@dataclass(slots=True)
class Tally:
    """What one scan has read: whole lines, bytes, and candidates that the prefilter let through."""

    lines: int = 0
    bytes: int = 0
    candidates: int = 0


class Scanner:
    """All jails of one log. Keeps no failure: it says what each line is, and of whom.

    `zone` is the host's, for logs whose jail names no `logtimezone` and whose dates carry none.
    """

    def __init__(self, path: str, jails: Sequence[JailSpec], zone: tzinfo, trust: Trust) -> None:
        self.path = path
        self.tally = Tally()
        self._trust = trust
        self.jails = tuple(jail.name for jail in jails)
        self._encoding = jails[0].logencoding if jails else "utf-8"
        self._prefilter = Prefilter((j.filter for j in jails), self._encoding)
        self._jails = [(j, Matcher(j.filter, j.logtimezone or zone), self._grammar(j)) for j in jails]
        # A jail that names a zone for the log knows better than what could be learnt.
        self._untold = [(j, matcher) for j, matcher, _ in self._jails if j.logtimezone is None]

    def _grammar(self, jail: JailSpec) -> Grammar | None:
        name = jail.filter.grammar or grammar.of_log(self.path)
        return grammar.GRAMMARS[name] if name else None

    @property
    def datepattern(self) -> list[str] | None:
        """How dates of this log are found whose zone nobody told; None if every jail tells it."""
        return list(self._untold[0][0].filter.datepattern) if self._untold else None

    def at_zone(self, zone: tzinfo) -> None:
        """From now on, dates that name no zone are read in this one, where no jail says otherwise."""
        for _, matcher in self._untold:
            matcher.at_zone(zone)

    def decode(self, raw: bytes) -> str:
        """A line as text."""
        return raw.rstrip(b"\r").decode(self._encoding, "replace")

    def scan(self, data: bytes, now: Instant) -> Iterator[Match | Refused]:
        """Every match in a block of whole lines, in order; refusals are matches nobody can be blamed for.

        `now` resolves dates that name no year.
        """
        candidates = self._prefilter.candidates(data)
        self.tally.lines += data.count(b"\n")
        self.tally.bytes += len(data)
        self.tally.candidates += len(candidates)
        for raw in candidates:
            if len(raw) > LONGEST_LINE:
                yield Refused("", self._jails[0][0].name, None, "line-too-long")
                continue
            line = self.decode(raw)
            for jail, matcher, blame in self._jails:
                found = self._one(jail, matcher, blame, line, now)
                if found is not None:
                    yield found

    def _one(
        self, jail: JailSpec, matcher: Matcher, blame: Grammar | None, line: str, now: Instant
    ) -> Match | Refused | None:
        outcome = matcher.match(line, now)
        if not outcome.matched:
            return None
        at, host = outcome.at, outcome.host
        if blame is not None:
            client = blame(outcome.text, self._trust)
            if client is None:
                return Refused(host or "", jail.name, at, "masked", None, line)
            if host is not None and not _same(host, client):
                return Refused(host, jail.name, at, "framed", client, line)
            host = client
        return Match(jail.name, host, at, "\n".join(outcome.lines) or line, outcome.groups)


def _same(host: str, client: str) -> bool:
    try:
        return Network.parse(host) == Network.parse(client)
    except ValueError:
        return False
