"""Builds the report of files that are read now, without a service."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sidecar.host import regex_budget
from sidecar.model import Batch, Event, Instant, Match, SourceError
from sidecar.offline.log_replay import Replay
from sidecar.offline.review import trials
from sidecar.offline.review.file_counting import FileCounting, Progress
from sidecar.offline.review.log_tally import Readers, TallyResult
from sidecar.review.decision_notes import DecisionNotes
from sidecar.review.mail.day_counts import DayCounts
from sidecar.review.report import day_report, mail_section


class FileReport:
    """The report of files, in the order of a log: the oldest first. `day` limits it to one day."""

    def __init__(
        self, readers: Readers, now: Instant, day: str | None, progress: Progress = lambda _: None
    ) -> None:
        self._readers, self._now, self._day, self._progress = readers, now, day, progress
        self._faults: list[str] = []

    def build(self, paths: Sequence[str]) -> dict[str, Any]:
        """The record. SourceError if no file can be read; a file that cannot is named in `faults`."""
        results = list(self._counted(paths))
        if not results:
            raise SourceError("; ".join(self._faults))
        whole = results[0][1]
        for _, result in results[1:]:
            whole = whole.joined(result)
        days = {self._day: whole.days.get(self._day, DayCounts())} if self._day else whole.days
        decisions = self._decisions({path: result.log for path, result in results})
        patterns = whole.miner.patterns(trials.MOST)
        files = {path: result.log for path, result in results if result.log}
        records, _ = trials.kept(patterns, {}, files, self._readers, self._now)
        span = sorted(whole.days)
        more = {
            "sources": [{"source": path, "lines": result.lines} for path, result in results],
            "faults": self._faults,
            "days": span,
        }
        name = self._day or (f"{span[0]} to {span[-1]}" if len(span) > 1 else span[0] if span else "no day")
        counts = mail_section.of_days(days.values())
        return day_report.record(name, self._now, socket.gethostname(), counts, decisions, records, more)

    def _counted(self, paths: Iterable[str]) -> Iterator[tuple[str, TallyResult]]:
        counting = FileCounting(self._readers, self._now, self._progress)
        for path in paths:
            try:
                yield path, counting.counted(path)
            except SourceError as error:
                self._faults.append(str(error))

    def _decisions(self, logs: dict[str, str]) -> dict[str, Any]:
        """What the enabled jails decide over these files."""
        run = Replay.of(self._readers.loaded, self._readers.zone, self._now)
        notes = DecisionNotes(run.accounts)
        run.on_events(lambda events: notes.take(Batch([e for e in events if self._is_of_the_day(e)])))
        by_path = {path: self._readers.jails(log) for path, log in logs.items() if log}
        with regex_budget.limited():
            for _ in run.events({p: jails for p, jails in by_path.items() if jails}, name=logs.get):
                pass
        return notes.found({name: jail.maxretry for name, jail in self._readers.loaded.jails.jails.items()})

    def _is_of_the_day(self, event: Event | Match) -> bool:
        if self._day is None:
            return True
        at = getattr(event, "at", None)
        return at is None or datetime.fromtimestamp(at, self._readers.zone).date().isoformat() == self._day
