"""Everything that the review takes from the lines of one log: counts of mail, and new patterns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import tzinfo
from itertools import chain

from sidecar.configuration import loading
from sidecar.configuration.loading import Loaded
from sidecar.detect.grammar import Trust, of_log
from sidecar.fail2ban.jails import JailSpec
from sidecar.model import Instant
from sidecar.network import Network, PrefixSet
from sidecar.review.mail.day_counts import DayCounts
from sidecar.review.mail.mail_counter import MailCounter
from sidecar.review.mail.open_messages import OpenMessages
from sidecar.review.patterns.hostile_lines import HostileLines
from sidecar.review.patterns.miner import PatternMiner
from sidecar.sources.kinds import log_name

_MAIL_LOG = "zimbra.log"
_SNIFFED = 1 << 16


@dataclass(frozen=True)
class Readers:
    """What decides whose lines are looked at: the configuration, and networks that are ours."""

    loaded: Loaded
    zone: tzinfo
    ours: PrefixSet

    @classmethod
    def of(cls, loaded: Loaded, zone: tzinfo, ours: Iterable[Network] = ()) -> Readers:
        """`ours` besides those that the configuration protects."""
        protected = loading.protected(loaded.settings).values()
        return cls(loaded, zone, PrefixSet({*ours, *chain.from_iterable(protected)}))

    @property
    def trust(self) -> Trust:
        """The trusted proxies of the configuration."""
        return loading.trust(self.loaded.settings)

    def jails(self, log: str) -> list[JailSpec]:
        """The enabled jails that read logs of this kind."""
        kind = of_log(log)
        jails = self.loaded.jails.jails.values()
        return [
            jail
            for jail in jails
            if any(of_log(jail.log or log_name(one.glob)) == kind for one in jail.logpath)
        ]

    def outside(self, address: str) -> bool:
        """Whether a client is neither this host nor somebody who is protected."""
        try:
            return self.ours.covering(Network.parse(address)) is None
        except ValueError:
            return False


def kind_of(path: str, beginning: bytes) -> str:
    """The name of the log whose grammar a file has: by its name, else zimbra.log if Postfix wrote to it;
    "" if unknown."""
    name = log_name(path)
    if of_log(name) is not None:
        return name
    return _MAIL_LOG if b" postfix" in beginning[:_SNIFFED] else ""


@dataclass
class TallyResult:
    """What was taken from a part of a log: counts by day, messages in the queue, patterns, lines."""

    log: str
    days: dict[str, DayCounts]
    messages: OpenMessages
    miner: PatternMiner
    lines: int

    def joined(self, later: TallyResult) -> TallyResult:
        """This part and the one behind it."""
        for day, counts in later.days.items():
            self._of(day).join(counts)
        self.messages.join(later.messages, self._of)
        log, lines = self.log or later.log, self.lines + later.lines
        return TallyResult(log, self.days, self.messages, self.miner.joined(later.miner), lines)

    def _of(self, day: str) -> DayCounts:
        return self.days.setdefault(day, DayCounts())


class LogTally:
    """Reads the blocks of one log in order."""

    def __init__(
        self, readers: Readers, log: str, now: Instant, messages: OpenMessages | None = None
    ) -> None:
        self._log, self._now = log, now
        self.mail = MailCounter(now, messages)
        self.miner = PatternMiner()
        self.lines = 0
        self._hostile = (
            HostileLines(readers.jails(log), log, readers.zone, readers.trust, readers.outside)
            if log
            else None
        )

    def read(self, data: bytes) -> None:
        """Count a block of whole lines."""
        self.lines += len(data) - len(data.replace(b"\n", b""))
        self.mail.read(data)
        if self._hostile is not None:
            self.miner.add(self._hostile.found(data, self._now))

    def result(self) -> TallyResult:
        """What was found."""
        return TallyResult(self._log, self.mail.days, self.mail.messages, self.miner, self.lines)
