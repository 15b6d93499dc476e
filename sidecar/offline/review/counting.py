"""Counts what is new in the followed logs, into the database of the review."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sidecar.model import ConfigError, Instant
from sidecar.offline.review.log_tally import LogTally, Readers, TallyResult, kind_of
from sidecar.offline.review.unread_lines import UnreadLines
from sidecar.review.mail.day_counts import DayCounts
from sidecar.review.mail.open_messages import OpenMessages
from sidecar.review.patterns.miner import PatternMiner
from sidecar.store.review_store import ReviewStore

_log = logging.getLogger("zmban.review")

MAIL, PATTERNS, LINES = "mail", "patterns", "lines"
# So much is counted before it is saved.
_STEP = 1 << 28
# A file that was never counted is read if it was written to within this time: a first start counts two days.
_LOOK_BACK = 2 * 86400.0


class NamedLog(NamedTuple):
    """A followed log, and the name that selects its grammar."""

    path: str
    log: str


class Counting:
    """One run. Each step saves counts and position in one transaction, so that no line counts twice."""

    def __init__(self, store: ReviewStore, readers: Readers, now: Instant, today: str) -> None:
        self._store, self._readers, self._now, self._today = store, readers, now, today
        self.faults: list[str] = [store.lost] if store.lost else []

    def run(self, logs: Iterable[NamedLog]) -> None:
        """Count the unread lines of all logs."""
        for one in logs:
            self._count(one)
        with self._store.writing():
            self._store.prune()

    def _count(self, named: NamedLog) -> None:
        before = self._store.log(named.path)
        messages = OpenMessages.restored(before.state.get("messages"))
        unread = UnreadLines(named.path, before, self._now - _LOOK_BACK)
        tally, taken = None, 0
        for data in unread.blocks():
            if tally is None:
                kind = named.log or kind_of(named.path, data)
                tally = LogTally(self._readers, kind, self._now, messages)
            tally.read(data)
            taken += len(data)
            if taken >= _STEP:
                self._save(named.path, tally.result(), unread)
                tally, taken = None, 0
        if tally is not None:
            self._save(named.path, tally.result(), unread)
        self.faults += unread.faults

    def _save(self, path: str, result: TallyResult, unread: UnreadLines) -> None:
        store = self._store
        with store.writing():
            for day, counts in result.days.items():
                whole = restored_day(store.day(day, MAIL))
                whole.join(counts)
                store.put_day(day, MAIL, whole.dumped())
            self._save_patterns(result)
            lines = store.day(self._today, LINES)
            store.put_day(self._today, LINES, {**lines, path: int(lines.get(path, 0)) + result.lines})
            store.put_log(path, unread.counted({"messages": result.messages.dumped()}))

    def _save_patterns(self, result: TallyResult) -> None:
        if result.log:
            joined = restored_miner(self._store.day(self._today, PATTERNS)).joined(result.miner)
            self._store.put_day(self._today, PATTERNS, joined.dumped())


def restored_day(read: Mapping[str, Any]) -> DayCounts:
    """The counts of a day from the database; none if they are damaged."""
    try:
        return DayCounts.loaded(dict(read)) if read else DayCounts()
    except (KeyError, TypeError, ValueError) as error:
        _log.error("counts of a day are damaged and begin anew: %r", error)
        return DayCounts()


def restored_miner(read: dict[str, Any]) -> PatternMiner:
    """The patterns of a day from the database; none if they are damaged."""
    try:
        return PatternMiner.loaded(read) if read else PatternMiner()
    except ConfigError as error:
        _log.error("patterns of a day are damaged and begin anew: %s", error)
        return PatternMiner()
