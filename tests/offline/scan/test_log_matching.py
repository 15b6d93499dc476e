"""A long log that is matched in a process of its own leads to the same decisions."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import pytest

from sidecar.configuration import loading
from sidecar.detect.grammar import Trust
from sidecar.detect.prefilter.prefilter import Sifted
from sidecar.detect.scanner import Scanner
from sidecar.fail2ban.jails import JailSpec
from sidecar.fail2ban.spec import FilterSpec, Pattern
from sidecar.host import regex_budget
from sidecar.model import SourceError
from sidecar.offline.log_replay import Replay
from sidecar.offline.scan import log_matching, parallel_scan
from sidecar.offline.scan.forked import Workers
from sidecar.offline.scan.log_matching import matched, matched_apart

CONFIG = Path(__file__).parents[3] / "config"
SAMPLES = Path(__file__).parents[2] / "samples"
NOW = datetime(2026, 11, 28, tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each log were long and the machine had several processors."""
    monkeypatch.setattr(parallel_scan, "_SHORT", 0)
    monkeypatch.setattr(parallel_scan, "_PART", 1 << 16)
    monkeypatch.setattr(parallel_scan, "LONGEST", 1 << 14)
    monkeypatch.setattr(log_matching, "_AT_ONCE", 7)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def written(directory: Path) -> dict[str, list[str]]:
    """The sample lines of each shipped jail, in logs of their own: the paths by jail."""
    found = {}
    for jail in loading.load([str(CONFIG)]).jails.jails.values():
        samples = SAMPLES / f"{jail.filter.name}.jsonl"
        if samples.is_file():
            rows = map(json.loads, samples.read_text(encoding="utf-8").splitlines())
            log = directory / jail.name / Path(jail.logpath[0].glob).name
            log.parent.mkdir()
            log.write_text("".join(f"{row['line']}\n" for row in rows) * 20, encoding="utf-8")
            found[jail.name] = [str(log)]
    return found


def replayed(logs: dict[str, list[str]], *, apart: bool) -> tuple[list[object], dict[str, object], int]:
    """The decisions, the summary without its times, and the number of processes that were started."""
    loaded = loading.load([str(CONFIG)])
    run = Replay.of(loaded, UTC, NOW)
    given = {path for paths in logs.values() for path in paths}
    by_path = {path: jails for path, jails in run.logs(logs).items() if path in given}
    with mock.patch.object(Workers, "start", autospec=True, side_effect=Workers.start) as start:
        found: list[object] = list(run.events(by_path, None if apart else parallel_scan.prefiltered))
    summary = {k: v for k, v in run.summary().items() if "second" not in k}
    return found, summary, start.call_count


def test_the_decisions_and_figures_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = written(tmp_path)
    monkeypatch.setattr(parallel_scan, "_MOST_PROCESSES", len(logs))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(len(logs))))
    apart, figures, started = replayed(logs, apart=True)
    assert started == len(logs) > 5
    assert (apart, figures) == replayed(logs, apart=False)[:2]
    assert figures["bans"]
    assert figures["refused"]


def test_candidates_come_from_processes_that_were_started_before(tmp_path: Path) -> None:
    log = tmp_path / "zimbra.log"
    line = "Nov 20 10:00:{:02} mail postfix/smtpd[1]: warning: unknown[203.0.113.{}]: SASL LOGIN authentication failed: x"
    log.write_text("".join(line.format(n % 60, n % 250) + "\n" for n in range(5000)), encoding="utf-8")
    apart, figures, started = replayed({"zimbra-smtp": [str(log)]}, apart=True)
    assert started == 3
    assert (apart, figures) == replayed({"zimbra-smtp": [str(log)]}, apart=False)[:2]
    assert figures["lines"] == 5000


def scanner(path: Path, regex: str) -> Scanner:
    pattern = Pattern(regex, re.compile(regex), "test.conf", 1)
    jail = JailSpec("test", FilterSpec("test", (pattern,)), ())
    return Scanner(str(path), [jail], UTC, Trust(()))


def test_a_slow_regex_is_aborted_there_too_and_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"Nov 20 10:00:00 wanted {'a' * 40}!\n" * 2, encoding="utf-8")
    slow = scanner(log, r"^ wanted (?:a|aa)+$")
    found = list(matched_apart(slow, lambda w: parallel_scan.started(str(log), slow.prefilter, 1, w), NOW))
    assert [one for part in found for one in part.slow] == [("test", "failregex 1")] * 2
    with regex_budget.limited():
        alone = list(matched(slow, parallel_scan.prefiltered(str(log), slow.prefilter, 1), NOW))
    assert found == alone


def test_an_unreadable_log_is_named_and_a_killed_process_is_told(tmp_path: Path) -> None:
    none = scanner(tmp_path / "none", "^ wanted")

    def read(_: Workers) -> Iterator[Sifted]:
        return parallel_scan.prefiltered(str(tmp_path / "none"), none.prefilter, 1)

    with pytest.raises(SourceError, match="none cannot be read: No such file"):
        list(matched_apart(none, read, NOW))
    log = tmp_path / "log"
    log.write_text("Nov 20 10:00:00 wanted\n" * 200_000, encoding="utf-8")
    wanted = scanner(log, "^ wanted")
    before = set(multiprocessing.active_children())
    parts = matched_apart(wanted, lambda w: parallel_scan.started(str(log), wanted.prefilter, 1, w), NOW)
    next(parts)
    for one in set(multiprocessing.active_children()) - before:
        one.kill()
    with pytest.raises(SourceError, match="log: a reading process was killed"):
        list(parts)
    assert not set(multiprocessing.active_children()) - before
