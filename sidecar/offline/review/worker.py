"""The process that counts logs and builds reports for the service: JSON on standard input and output.

It runs at the lowest priority, so that counting takes no time from a ban; a fault in it ends nothing else.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import time
from pathlib import Path
from typing import Any

from sidecar.configuration import loading
from sidecar.model import StoreError, ZmbanError
from sidecar.network import Network
from sidecar.offline.review import trials
from sidecar.offline.review.counting import (
    LINES,
    MAIL,
    PATTERNS,
    Counting,
    NamedLog,
    restored_day,
    restored_miner,
)
from sidecar.offline.review.log_tally import Readers
from sidecar.review.report import day_report
from sidecar.store.review_store import ReviewStore

_MEMORY = 2 << 30


class Work:
    """One request: `state` and `config` directories, `zone`, `logs` (path, name of the grammar's log), `ours`
    (networks that are not outside), `today`."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._request, self._now = request, time.time()
        loaded = loading.load_or_empty(request["config"])
        zone = loading.zone(request["zone"]) if request["zone"] else loading.host_zone()
        self._readers = Readers.of(loaded, zone, map(Network.parse, request["ours"]))
        self._logs = [NamedLog(path, log) for path, log in request["logs"]]
        self._store = ReviewStore(Path(request["state"]))

    def count(self) -> dict[str, Any]:
        """Count what is new, and try the new patterns of today."""
        counting = Counting(self._store, self._readers, self._now, self._request["today"])
        counting.run(self._logs)
        self._patterns(self._request["today"])
        return {"faults": counting.faults, "lines": sum(self._lines(self._request["today"]).values())}

    def report(self) -> dict[str, Any]:
        """The report of `day`, up to now. `decisions` and `more` come from the service."""
        day, counted = self._request["day"], self.count()
        more = self._request["more"]
        sources = [{"source": path, "lines": lines} for path, lines in self._lines(day).items()]
        more |= {"sources": sources, "faults": [*more.get("faults", ()), *counted["faults"]]}
        counts = restored_day(self._store.day(day, MAIL))
        decisions, patterns = self._request["decisions"], self._patterns(day)
        return day_report.record(day, self._now, socket.gethostname(), counts, decisions, patterns, more)

    def _lines(self, day: str) -> dict[str, int]:
        return self._store.day(day, LINES)

    def _patterns(self, day: str) -> list[dict[str, Any]]:
        """The patterns of a day with their trials. A trial is made once an hour at most."""
        patterns = restored_miner(self._store.day(day, PATTERNS)).patterns(trials.MOST)
        kept = self._store.day(day, trials.KIND)
        files = trials.files_of(self._logs, self._now)
        records, changed = trials.kept(patterns, kept, files, self._readers, self._now)
        if changed:
            with self._store.writing():
                self._store.put_day(day, trials.KIND, changed)
        return records


def main() -> None:
    """Answer one request."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    os.nice(19)
    request = json.load(sys.stdin)
    try:
        work = Work(request)
        answer = work.report() if request["do"] == "report" else work.count()
    except (ZmbanError, OSError, ValueError) as error:
        answer = {"error": str(error), "store": isinstance(error, StoreError)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
