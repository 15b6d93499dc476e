"""Takes out of a damaged file what can still be read of it: what matters most first, the rest beside."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidecar.model import Seconds
from sidecar.store.changes import Change, EvidenceLines
from sidecar.store.repair import tables
from sidecar.store.repair.btree import Trees
from sidecar.store.repair.pages import Pages
from sidecar.store.repair.tables import MEANING, READING, SENSELESS, Table, Values
from sidecar.store.repair.unfinished import Unfinished

_log = logging.getLogger("zmban.store")
# First what must be known before a line of a log is judged: who is allowed, what was counted, who is banned.
_ORDER = ("allowed", "zones", "failures", "positions", "bans", "good", "history", "evidence")
# Beside the service: so long at a time, then so long a pause; and all of it no longer than this.
_WORK: Seconds = 0.004
_PAUSE: Seconds = 0.008
_LONGEST: Seconds = 900.0
# More than this is not found ahead of who takes it.
_MOST_WAITING = 4000


@dataclass
class Salvaged:
    """How many rows of each table were found, and which tables could not be read whole, and why."""

    taken: Counter[str] = field(default_factory=Counter)
    broken: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        taken = ", ".join(f"{number} {table}" for table, number in self.taken.items() if number)
        lost = ", ".join(f"{table} ({why})" for table, why in self.broken.items())
        return f"taken over: {taken or 'nothing'}" + (f"; not read whole: {lost}" if lost else "")


class _StopError(Exception):
    """Enough."""


class Salvage:
    """What can be read of a file, by a thread of its own that nobody waits for.

    How far the logs were read is worth something only with the failures that were found there, and before the
    reading goes on: both are found if both are whole, and by the end of `first`; else neither, and the logs
    are read again as far as failures count.
    """

    def __init__(self, path: Path, only: Iterable[str] = _ORDER, *, longest: Seconds = _LONGEST) -> None:
        self.path, self.found, self.ended = path, Salvaged(), False
        self.unfinished = Unfinished()
        self._only, self._longest = set(only), longest
        self._pages: Pages | None = None
        self._where: dict[str, tuple[Table, int]] = {}
        self._stopped, self._lock = threading.Event(), threading.Lock()
        self._changes: list[Change] = []
        self._reading: list[Change] = []
        # From when on it goes beside the service, and when it must have ended.
        self._late, self._until = 0.0, 0.0
        self._worked, self._table = 0.0, ""
        self._thread = threading.Thread(target=self._run, name="salvage", daemon=True)

    def first(self, patience: Seconds) -> list[Change]:
        """What is found within so many seconds, the bans before the failures, for to write a ban takes those
        with it. What is found from then on is for `take`."""
        self._begin(patience)
        self._thread.join(patience)
        with self._lock:
            found, self._changes = [*self._changes, *self._reading], []
            self._only -= set(READING)
            return found

    def begin(self) -> None:
        """Read beside the service, whatever may come late."""
        self._only -= set(READING)
        self._begin(0.0)

    def _begin(self, patience: Seconds) -> None:
        now = time.monotonic()
        self._late, self._until = now + patience, now + patience + self._longest
        self._thread.start()

    def take(self, most: int = 500) -> list[Change]:
        """What was found since, in order; so many at the most."""
        with self._lock:
            found, self._changes = self._changes[:most], self._changes[most:]
            return found

    def moved(self, path: Path) -> None:
        """The file bears another name now, and a restart goes on with it."""
        self.path = path
        self.unfinished.begin(path)

    @property
    def over(self) -> bool:
        """Whether nothing more is going to be found, and everything was taken."""
        with self._lock:
            return self.ended and not self._changes

    def progress(self) -> dict[str, Any]:
        """For a person: which table is read, and how much of the file was."""
        pages = self._pages
        return {
            "file": str(self.path),
            "table": self._table,
            "pages": pages.count if pages else 0,
            "pages_read": pages.read if pages else 0,
            "found": dict(self.found.taken),
            "not_whole": dict(self.found.broken),
        }

    def stop(self) -> None:
        """End it: what was found and not taken is for the next time."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether it was ended before it was through."""
        return self._stopped.is_set()

    def _run(self) -> None:
        try:
            patience = max(0.0, self._late - time.monotonic()) / 2 or self._longest
            self._pages = Pages(self.path, self._tick, patience)
            try:
                self._read_all(self._pages)
            finally:
                self._pages.close()
        except _StopError as error:
            self.found.broken["the rest"] = str(error)
        except (OSError, MemoryError) as error:
            self.found.broken["all"] = getattr(error, "strerror", None) or str(error)
        except Exception as error:
            _log.exception("%s", self.path)
            self.found.broken["the rest"] = repr(error)
        self.ended = True

    def _read_all(self, pages: Pages) -> None:
        trees = Trees(pages)
        self._where, missing = tables.found_in(pages, trees)
        if not self._where:
            self.found.broken["all"] = "nothing of it can be read"
        else:
            self.found.broken |= {name: "it is not found" for name in missing if name in self._only}
        for name in _ORDER:
            self._table = name
            if name == READING[0]:
                self._read_reading(pages, trees)
            elif name not in READING and name in self._only:
                for change in self._lines(trees) if name == "evidence" else self._of(name, trees):
                    self._put(name, change)

    def _read_reading(self, pages: Pages, trees: Trees) -> None:
        """Failures and positions, for no longer than half the time before the logs are read."""
        until = (self._late + time.monotonic()) / 2
        if not self._only >= set(READING):
            return
        found: dict[str, list[Change]] = {}
        for name in READING:
            if name == "positions" and not pages.whole:
                self.found.broken[name] = "the write-ahead log is too long to be read in time"
            found[name] = []
            for change in self._of(name, trees):
                found[name].append(change)
                if time.monotonic() > until:
                    self.found.broken[name] = "too many to be read in time"
                    break
        with self._lock:
            if self._only >= set(READING) and not self.found.broken.keys() & set(READING):
                self._reading = [*found["failures"], *found["positions"]]
                self.found.taken.update({name: len(changes) for name, changes in found.items()})

    def _of(self, name: str, trees: Trees) -> Iterator[Change]:
        """The rows of a table that make sense."""
        for _, values in self._rows(name, trees):
            try:
                yield MEANING[name](values)
            except SENSELESS:
                self._broken(name, "a row makes no sense")

    def _rows(self, name: str, trees: Trees) -> Iterator[tuple[int, Values]]:
        """Number and columns of each row of a table that has its shape."""
        if name in self._where:
            table, root = self._where[name]
            for row in trees.rows(root, lambda why: self._broken(name, why), index=table.index):
                try:
                    yield row.number or 0, table.values(row)
                except ValueError as error:
                    self._broken(name, str(error))

    def _lines(self, trees: Trees) -> Iterator[Change]:
        """The evidence of each ban. Both tables are in the order of the numbers of the bans; up to version 3
        the lines stood with the ban."""
        bans = self._rows("bans", trees)
        if "evidence" not in self._where:
            yield from self._with_lines((one, one.get("evidence")) for _, one in bans)
            return
        number, ban = next(bans, (0, None))
        for of, row in self._rows("evidence", trees):
            while ban is not None and number < of:
                number, ban = next(bans, (0, None))
            if ban is not None and number == of:
                yield from self._with_lines([(ban, row["lines"])])

    def _with_lines(self, found: Iterable[tuple[Values, Any]]) -> Iterator[EvidenceLines]:
        for values, text in found:
            try:
                if text and (lines := tables.evidence_of(text)):
                    ban = tables.ban_of({**values, "evidence": None})
                    yield EvidenceLines(ban.network, ban.jail, lines, ban.at)
            except SENSELESS:
                self._broken("evidence", "a row makes no sense")

    def _broken(self, table: str, why: str) -> None:
        self.found.broken.setdefault(table, why)

    def _put(self, table: str, change: Change) -> None:
        with self._lock:
            self._changes.append(change)
            self.found.taken[table] += 1
            waiting = len(self._changes)
        while waiting > _MOST_WAITING and time.monotonic() > self._late:
            self._tick()
            self._stopped.wait(_PAUSE)
            waiting = len(self._changes)

    def _tick(self) -> None:
        """Before each page."""
        now = time.monotonic()
        if self._stopped.is_set():
            raise _StopError("the service was stopped")
        if now > self._until:
            raise _StopError("it took too long")
        if now > self._late and now - self._worked > _WORK:
            self._stopped.wait(_PAUSE)
            self._worked = time.monotonic()
