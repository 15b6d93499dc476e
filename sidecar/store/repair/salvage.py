"""Salvages the readable rows of a damaged file: urgent tables first, the rest in the background."""

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
from sidecar.store.repair import file_tables
from sidecar.store.repair.btree import Trees
from sidecar.store.repair.file_pages import DatabasePages
from sidecar.store.repair.file_tables import MEANING, READING, SENSELESS, Table, Values
from sidecar.store.repair.unfinished import Unfinished

_log = logging.getLogger("zmban.store")
# First the tables that are needed before the first log line: allowed networks, failures, bans.
_ORDER = ("allowed", "zones", "memos", "failures", "positions", "bans", "good", "history", "evidence")
# In the background: working time, then a pause; and the limit for everything.
_WORK: Seconds = 0.004
_PAUSE: Seconds = 0.008
_LONGEST: Seconds = 900.0
# Changes that wait to be taken; the thread pauses at this number.
_MOST_WAITING = 4000


@dataclass
class Salvaged:
    """Number of rows found by table; the tables that are incomplete, with the reason."""

    taken: Counter[str] = field(default_factory=Counter)
    broken: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        taken = ", ".join(f"{number} {table}" for table, number in self.taken.items() if number)
        lost = ", ".join(f"{table} ({why})" for table, why in self.broken.items())
        return f"taken over: {taken or 'nothing'}" + (f"; incomplete: {lost}" if lost else "")


class _StopError(Exception):
    """Ends the thread early."""


class Salvage:
    """Reads a damaged file in a thread of its own, which a stop does not wait for.

    Positions are valid only together with the failures before them. So both tables are taken if both are
    complete before `first` returns; otherwise neither, and the logs are read again as far back as failures
    count.
    """

    def __init__(self, path: Path, only: Iterable[str] = _ORDER, *, longest: Seconds = _LONGEST) -> None:
        self.path, self.found, self.ended = path, Salvaged(), False
        self.unfinished = Unfinished()
        self._wanted, self._longest = set(only), longest
        self._pages: DatabasePages | None = None
        self._roots: dict[str, tuple[Table, int]] = {}
        self._stopped, self._lock = threading.Event(), threading.Lock()
        self._changes: list[Change] = []
        self._read_together: list[Change] = []
        # Monotonic times: the service runs from `_urgent_until`, the work stops at `_until`.
        self._urgent_until, self._until = 0.0, 0.0
        self._worked, self._table = 0.0, ""
        self._thread = threading.Thread(target=self._run, name="salvage", daemon=True)

    def first(self, patience: Seconds) -> list[Change]:
        """Start, and return what is found within `patience` seconds: bans before failures, because writing a
        ban deletes its failures. What is found later is returned by `take`."""
        self._begin(patience)
        self._thread.join(patience)
        with self._lock:
            found, self._changes = [*self._changes, *self._read_together], []
            self._wanted -= set(READING)
            return found

    def begin(self) -> None:
        """Start in the background, with all tables but failures and positions."""
        self._wanted -= set(READING)
        self._begin(0.0)

    def _begin(self, patience: Seconds) -> None:
        now = time.monotonic()
        self._urgent_until, self._until = now + patience, now + patience + self._longest
        self._thread.start()

    def take(self, most: int = 500) -> list[Change]:
        """At most `most` changes found since the last call, in order."""
        with self._lock:
            found, self._changes = self._changes[:most], self._changes[most:]
            return found

    def moved(self, path: Path) -> None:
        """Note the new name of the file; a restart continues with it."""
        self.path = path
        self.unfinished.begin(path)

    @property
    def over(self) -> bool:
        """Whether the thread has ended and everything was taken."""
        with self._lock:
            return self.ended and not self._changes

    def progress(self) -> dict[str, Any]:
        """Progress for `zmban status`: current table, pages read, rows found."""
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
        """Stop the thread. A restart continues with the file."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def _run(self) -> None:
        try:
            patience = max(0.0, self._urgent_until - time.monotonic()) / 2 or self._longest
            self._pages = DatabasePages(self.path, self._tick, patience)
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

    def _read_all(self, pages: DatabasePages) -> None:
        trees = Trees(pages)
        self._roots, missing = file_tables.found_in(pages, trees)
        if not self._roots:
            self.found.broken["all"] = "no table is readable"
        else:
            self.found.broken |= {name: "not found" for name in missing if name in self._wanted}
        for name in _ORDER:
            self._table = name
            if name == READING[0]:
                self._read_reading(pages, trees)
            elif name not in READING and name in self._wanted:
                for change in self._evidence(trees) if name == "evidence" else self._valid_rows(name, trees):
                    self._put(name, change)

    def _read_reading(self, pages: DatabasePages, trees: Trees) -> None:
        """Read failures and positions, for at most half of the time until the logs are read."""
        until = (self._urgent_until + time.monotonic()) / 2
        if not self._wanted >= set(READING):
            return
        found: dict[str, list[Change]] = {}
        for name in READING:
            if name == "positions" and not pages.whole:
                self.found.broken[name] = "the write-ahead log is too long"
            found[name] = []
            for change in self._valid_rows(name, trees):
                found[name].append(change)
                if time.monotonic() > until:
                    self.found.broken[name] = "too many rows"
                    break
        with self._lock:
            if self._wanted >= set(READING) and not self.found.broken.keys() & set(READING):
                self._read_together = [*found["failures"], *found["positions"]]
                self.found.taken.update({name: len(changes) for name, changes in found.items()})

    def _valid_rows(self, name: str, trees: Trees) -> Iterator[Change]:
        """The valid rows of a table."""
        for _, values in self._rows(name, trees):
            try:
                yield MEANING[name](values)
            except SENSELESS:
                self._broken(name, "invalid row")

    def _rows(self, name: str, trees: Trees) -> Iterator[tuple[int, Values]]:
        """Rowid and columns of each row of a table with the right number of columns."""
        if name in self._roots:
            table, root = self._roots[name]
            for row in trees.rows(root, lambda why: self._broken(name, why), index=table.index):
                try:
                    yield row.number or 0, table.values(row)
                except ValueError as error:
                    self._broken(name, str(error))

    def _evidence(self, trees: Trees) -> Iterator[EvidenceLines]:
        """The evidence of each ban. Both tables are ordered by the id of the ban."""
        bans = self._rows("bans", trees)
        number, ban = next(bans, (0, None))
        for of, row in self._rows("evidence", trees):
            while ban is not None and number < of:
                number, ban = next(bans, (0, None))
            if ban is not None and number == of:
                try:
                    if row["lines"] and (lines := file_tables.evidence_of(row["lines"])):
                        found = file_tables.ban_of(ban)
                        yield EvidenceLines(found.network, found.jail, lines, found.at)
                except SENSELESS:
                    self._broken("evidence", "invalid row")

    def _broken(self, table: str, why: str) -> None:
        self.found.broken.setdefault(table, why)

    def _put(self, table: str, change: Change) -> None:
        with self._lock:
            self._changes.append(change)
            self.found.taken[table] += 1
            waiting = len(self._changes)
        while waiting > _MOST_WAITING and time.monotonic() > self._urgent_until:
            self._tick()
            self._stopped.wait(_PAUSE)
            waiting = len(self._changes)

    def _tick(self) -> None:
        """Called before each page: stop, or pause in the background."""
        now = time.monotonic()
        if self._stopped.is_set():
            raise _StopError("the service was stopped")
        if now > self._until:
            raise _StopError("it took too long")
        if now > self._urgent_until and now - self._worked > _WORK:
            self._stopped.wait(_PAUSE)
            self._worked = time.monotonic()
