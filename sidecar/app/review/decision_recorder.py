"""Notes the decisions of each day for the report."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from sidecar.app.active import ActiveConfiguration
from sidecar.app.persist.memos import Memos
from sidecar.decide.recent_logins import RecentLogins
from sidecar.model import Batch, Instant, Seconds
from sidecar.network import Network
from sidecar.review.decision_notes import DecisionNotes

_log = logging.getLogger("zmban.review")

# Memos: the notes by day; the last day on which a jail found something.
_NOTES, _FOUND = "review-notes", "review-found"
_KEPT = timedelta(days=31)
_SILENT = timedelta(days=30)
_SAVE_EVERY: Seconds = 300.0


class DecisionRecorder:
    """A subscriber of the bus. `save` is a periodic job: a crash loses the notes of some minutes, not the
    bans themselves."""

    def __init__(
        self,
        active: ActiveConfiguration,
        logins: RecentLogins,
        memos: Memos,
        clock: Callable[[], Instant] = time.time,
    ) -> None:
        self._active, self._logins, self._memos, self._clock = active, logins, memos, clock
        self._day, self._ends = "", 0.0
        self._notes = DecisionNotes(self._good)
        self._saved, self._saved_at = 0, 0.0
        self._begin()

    def _good(self, network: Network) -> int:
        """How many accounts logged in from a network lately."""
        return self._logins.accounts(network.unit(), self._clock())

    def _begin(self) -> None:
        """Take up the notes of today, or begin new ones."""
        now = self._clock()
        today = date.fromtimestamp(now)
        self._day = today.isoformat()
        self._ends = time.mktime((today + timedelta(days=1)).timetuple())
        self._notes = self._kept(self._day) or DecisionNotes(self._good)
        self._saved = self._notes.number
        for day in self._memos.of(_NOTES):
            if day < (today - _KEPT).isoformat():
                self._memos.drop(_NOTES, day)

    def _kept(self, day: str) -> DecisionNotes | None:
        memo = self._memos.of(_NOTES).get(day)
        if memo is None:
            return None
        try:
            return DecisionNotes.loaded(json.loads(memo.value or ""), self._good)
        except (KeyError, TypeError, ValueError) as error:
            _log.error("the notes of %s are damaged: %r", day, error)
            return None

    def handle(self, batch: Batch) -> None:
        """Note what happens now."""
        if not batch.events:
            return
        now = self._clock()
        if not self._ends - 90_000 < now < self._ends:
            # Midnight, or the clock was set.
            self._put()
            self._begin()
        self._notes.take(batch.new)

    async def save(self) -> None:
        """Save the notes, if there are new ones; and since when a jail without failures is watched."""
        known = self._memos.of(_FOUND)
        for jail in self._active.jails:
            if jail not in known:
                self._memos.put(_FOUND, jail, self._day)
        if self._clock() - self._saved_at >= _SAVE_EVERY:
            self._put()

    def finish(self) -> None:
        """Save the notes at a stop."""
        self._put()

    def _put(self) -> None:
        notes = self._notes
        self._saved_at = self._clock()
        if notes.number == self._saved:
            return
        self._saved = notes.number
        self._memos.put(_NOTES, self._day, json.dumps(notes.dumped()))
        for jail, counts in notes.jails.items():
            memo = self._memos.of(_FOUND).get(jail)
            if counts["failures"] and (memo is None or memo.value != self._day):
                self._memos.put(_FOUND, jail, self._day)

    def decisions(self, day: str) -> dict[str, Any]:
        """The notes of a day for the report; empty if there are none."""
        notes = self._notes if day == self._day else self._kept(day)
        jails = self._active.jails
        return notes.found({name: jail.maxretry for name, jail in jails.items()}) if notes else {}

    def silent_jails(self) -> list[str]:
        """The jails that found nothing for 30 days."""
        since = (date.fromtimestamp(self._clock()) - _SILENT).isoformat()
        found = self._memos.of(_FOUND)
        return sorted(
            jail for jail in self._active.jails if jail in found and (found[jail].value or "") < since
        )
