"""Tries proposed failregexes on log files in one pass: what they match, whom they would ban, and who is
known-good."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from sidecar.detect.grammar import GRAMMARS, Trust, of_log
from sidecar.detect.grammar.addresses import address
from sidecar.detect.grammar.login_lines import lines_with
from sidecar.detect.login_notes import NoteReader
from sidecar.detect.prefilter.prefilter import Prefilter, Sifted
from sidecar.detect.scanner import Scanner
from sidecar.fail2ban.jails import JailSpec
from sidecar.host import regex_budget
from sidecar.model import Instant, Match, Refused, Seconds, Slow, SourceError
from sidecar.network import Network, PrefixSet
from sidecar.offline.scan import parallel_scan
from sidecar.review.patterns.mined_pattern import MinedPattern
from sidecar.review.patterns.soundness import spec

DAY: Seconds = 86400.0
# Clients that are counted, and shown, for each proposal; accounts that are remembered for each client.
_MOST_CLIENTS, _MOST_SHOWN, _MOST_ACCOUNTS = 200_000, 100, 20
_IPV6_UNIT = 64


@dataclass(frozen=True, slots=True)
class KnownGoodHit:
    """A client that a proposal matches although it is known-good: by the accounts that logged in from it, as
    a mail server that mail was exchanged with, or because its network was given."""

    client: str
    hits: int
    accounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What one proposal matches. `clients` are distinct ones; `more` if some were not counted. `bans` is the
    number of addresses (IPv6: /64) that would be banned, `banned` are the first of them. `framed` lines
    would have blamed somebody else, and ban nobody. `slow`: the regex was stopped on some line. `complete`:
    all files were read."""

    id: str
    hits: int
    clients: int
    more: bool
    bans: int
    banned: tuple[str, ...]
    known_good: tuple[KnownGoodHit, ...]
    known_good_hits: int
    framed: int
    slow: bool
    complete: bool

    def record(self) -> dict[str, Any]:
        """The result as JSON."""
        good = [{"client": g.client, "hits": g.hits, "accounts": list(g.accounts)} for g in self.known_good]
        return {
            "id": self.id,
            "hits": self.hits,
            "clients": self.clients,
            "more": self.more,
            "bans": self.bans,
            "banned": list(self.banned),
            "known_good": good,
            "known_good_hits": self.known_good_hits,
            "framed": self.framed,
            "slow": self.slow,
            "complete": self.complete,
        }


def tried(
    patterns: Iterable[MinedPattern],
    files: Mapping[str, str],
    zone: tzinfo,
    trust: Trust,
    now: Instant,
    *,
    maxretry: int = 3,
    findtime: Seconds = DAY,
    good: Iterable[Network] = (),
    seconds: Seconds = 60.0,
) -> dict[str, TrialResult]:
    """The result of each proposal, by its id; a pattern without a failregex has none.

    `files`: the path of each file, current or rotated, plain or compressed, and the file name of its log.
    They are read oldest first, and no longer than `seconds`. `good` are networks known to be good.
    SourceError if a file cannot be read.
    """
    trial = _Trial([one for one in patterns if one.failregex], maxretry, findtime, PrefixSet(good))
    end = time.monotonic() + seconds
    with regex_budget.limited():
        for path in sorted(files, key=_written):
            if not trial.read(path, files[path], zone, trust, now, end):
                trial.complete = False
                break
    return trial.results()


def _written(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error


@dataclass(slots=True)
class _Count:
    """The matches of one proposal. Per client the number of its lines, per unit the times of the last
    ones."""

    hits: int = 0
    framed: int = 0
    more: bool = False
    slow: bool = False
    clients: dict[Network, int] = field(default_factory=dict)
    recent: dict[Network, deque[Instant]] = field(default_factory=dict)
    banned: dict[Network, Instant] = field(default_factory=dict)

    def take(self, client: Network, at: Instant, maxretry: int, findtime: Seconds) -> None:
        """Count a line of a client."""
        self.hits += 1
        if client not in self.clients and len(self.clients) >= _MOST_CLIENTS:
            self.more = True
            return
        self.clients[client] = self.clients.get(client, 0) + 1
        unit = client if client.version == 4 else client.supernet(_IPV6_UNIT)
        if unit in self.banned:
            return
        times = self.recent.setdefault(unit, deque(maxlen=maxretry))
        times.append(at)
        # A line that was written late may be older than those before it.
        if len(times) == maxretry and max(times) - min(times) < findtime:
            self.banned[unit] = at
            del self.recent[unit]


class _Trial:
    """All proposals, and the clients that are known to be good."""

    def __init__(
        self, patterns: Sequence[MinedPattern], maxretry: int, findtime: Seconds, good: PrefixSet
    ) -> None:
        self._maxretry, self._findtime, self._good = maxretry, findtime, good
        self._counts = {one.id: _Count() for one in patterns}
        self._logins: dict[Network, set[str]] = {}
        self._jails: dict[str, list[JailSpec]] = {}
        for one in patterns:
            jail = JailSpec(one.id, spec(one.failregex, one.kind, one.id), (), log=one.log)
            self._jails.setdefault(one.log, []).append(jail)
        self._prefilters = {log: Prefilter.of(jails) for log, jails in self._jails.items()}
        self.complete = True

    def read(self, path: str, log: str, zone: tzinfo, trust: Trust, now: Instant, end: float) -> bool:
        """Read a file of a log; False if the time is up."""
        kind = of_log(log)
        jails = self._jails.get(log, [])
        markers = GRAMMARS[kind].logins if kind else ()
        if not jails and not markers:
            return True
        sieve = _Sieve(self._prefilters.get(log), markers)
        scanner = Scanner(path, jails, zone, trust, self._prefilters.get(log) or Prefilter([]), log=log)
        notes = NoteReader(zone, trust, relays=0)
        latest: Instant = 0.0
        for sifted in parallel_scan.prefiltered(path, sieve, parallel_scan.processes([path])):
            # Lines that the prefilter wants have regexes to try, others may show a login.
            logins = b"".join(line + b"\n" for line, wanted in sifted.candidates if not wanted)
            wanted = [one for one in sifted.candidates if one[1]]
            for told in scanner.match(sifted._replace(candidates=wanted), now):
                latest = self._take(told, latest)
            for note in notes.of(path, logins, now, log, everything=True):
                if not note.through:
                    self._learn(note.client, note.account)
            if time.monotonic() > end:
                return False
        return True

    def _take(self, told: Match | Refused | Slow, latest: Instant) -> Instant:
        count = self._counts[told.jail]
        if isinstance(told, Slow):
            count.slow = True
            return latest
        if isinstance(told, Refused):
            count.framed += told.reason == "framed"
            count.slow |= told.reason == "slow-regex"
            return latest
        latest = latest if told.at is None else told.at
        client = address(told.host or "")
        if client is not None:
            count.take(client, latest, self._maxretry, self._findtime)
        return latest

    def _learn(self, client: str, account: str) -> None:
        network = address(client)
        if network is not None and (network in self._logins or len(self._logins) < _MOST_CLIENTS):
            accounts = self._logins.setdefault(network, set())
            if account and len(accounts) < _MOST_ACCOUNTS:
                accounts.add(account)

    def results(self) -> dict[str, TrialResult]:
        """The results, by id."""
        return {name: self._result(name, count) for name, count in self._counts.items()}

    def _result(self, name: str, count: _Count) -> TrialResult:
        good = [
            KnownGoodHit(client.address, hits, tuple(sorted(self._logins.get(client, ()))))
            for client, hits in count.clients.items()
            if client in self._logins or self._good.covering(client) is not None
        ]
        good.sort(key=lambda one: -one.hits)
        return TrialResult(
            id=name,
            hits=count.hits,
            clients=len(count.clients),
            more=count.more,
            bans=len(count.banned),
            banned=tuple(map(_shown, list(count.banned)[:_MOST_SHOWN])),
            known_good=tuple(good[:_MOST_SHOWN]),
            known_good_hits=sum(one.hits for one in good),
            framed=count.framed,
            slow=count.slow,
            complete=self.complete,
        )


def _shown(network: Network) -> str:
    return network.address if network.single else str(network)


class _Sieve:
    """Finds the lines that a proposal may match, and (without regexes to try) those that show logins."""

    def __init__(self, prefilter: Prefilter | None, markers: tuple[bytes, ...]) -> None:
        self._prefilter, self._markers = prefilter, markers

    def sift(self, data: bytes) -> Sifted:
        """The wanted lines of a block of whole lines."""
        found = self._prefilter.sift(data) if self._prefilter else Sifted(0, len(data), [])
        logins = [(line, ()) for line in lines_with(data, self._markers)]
        return found._replace(candidates=[*found.candidates, *logins])
