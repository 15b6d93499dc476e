"""Scanning a log in several processes gives the same result as in one."""

from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.detect.prefilter.prefilter import Candidate, Prefilter
from sidecar.fail2ban.spec import FilterSpec, Pattern
from sidecar.model import SourceError
from sidecar.offline import parallel_scan

LINES = [b"no" * (n % 37) + (b" wanted %d" % n if n % 11 == 0 else b"") for n in range(3000)]


@pytest.fixture
def prefilter() -> Prefilter:
    wanted = r"^.* wanted \d+$"
    return Prefilter([FilterSpec("test", (Pattern(wanted, re.compile(wanted), "test.conf", 1),))])


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small parts, as if the log had many gigabytes."""
    for name, size in (("_BLOCK", 512), ("_PART", 4096), ("_LONGEST", 1024), ("_SHORT", 0)):
        monkeypatch.setattr(parallel_scan, name, size)


def read(path: Path, prefilter: Prefilter, count: int) -> tuple[int, list[Candidate]]:
    every = list(parallel_scan.prefiltered(str(path), prefilter, count))
    return sum(s.lines for s in every), [c for s in every for c in s.candidates]


@pytest.mark.parametrize(
    "end",
    [b"\n", b"", b"\n\n\n", b"\n wanted 1", b"\n" + b"x" * 5000 + b"\nmore wanted 2\n", b"\n" + b"x" * 20000],
    ids=[
        "whole",
        "open",
        "empty lines",
        "open and wanted",
        "a line too long in it",
        "a line too long at the end",
    ],
)
def test_several_processes_see_what_one_sees(tmp_path: Path, prefilter: Prefilter, end: bytes) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\n".join(LINES) + end)
    alone = read(log, prefilter, 1)
    assert len(alone[1]) >= len(LINES) // 11
    assert [read(log, prefilter, count) for count in (2, 3)] == [alone, alone]


def test_a_line_too_long_in_the_middle_hides_nothing_behind_it(tmp_path: Path, prefilter: Prefilter) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\n".join([*LINES[:1500], b"x" * 9000, *LINES[1500:]]) + b"\n")
    for count in (1, 2):
        lines, candidates = read(log, prefilter, count)
        assert lines == len(LINES) + 1
        assert [raw for raw, _ in candidates] == [line for line in LINES if b" wanted " in line]


def begun(log: Path, prefilter: Prefilter) -> Iterator[object]:
    sifted = iter(parallel_scan.prefiltered(str(log), prefilter, 2))
    next(sifted)
    return sifted


def test_who_reads_no_further_leaves_no_process_behind(tmp_path: Path, prefilter: Prefilter) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\n".join(LINES * 50) + b"\n")
    before = set(multiprocessing.active_children())
    sifted = begun(log, prefilter)
    assert len(set(multiprocessing.active_children()) - before) == 2
    sifted.close()  # type: ignore[attr-defined]
    assert not set(multiprocessing.active_children()) - before


def test_a_process_that_is_killed_is_told_and_no_line_is_left_out_in_silence(
    tmp_path: Path, prefilter: Prefilter
) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\n".join(LINES * 500) + b"\n")
    before = set(multiprocessing.active_children())
    sifted = begun(log, prefilter)
    for one in set(multiprocessing.active_children()) - before:
        one.kill()
    with pytest.raises(SourceError, match="a scanning process was killed; check the free memory"):
        for _ in sifted:
            pass


def test_a_packed_log_and_one_that_is_not_there_are_named(tmp_path: Path, prefilter: Prefilter) -> None:
    log = tmp_path / "log.gz"
    log.write_bytes(b"\x1f\x8b\x08")
    with pytest.raises(SourceError, match="is compressed; decompress it into a file first"):
        read(log, prefilter, 2)
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        read(tmp_path / "none", prefilter, 2)


def test_each_long_log_has_its_share_of_the_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    logs = [str(tmp_path / f"{n}.log") for n in range(5)]
    for log in logs:
        Path(log).write_bytes(b"long")
    short = tmp_path / "short.log"
    short.write_bytes(b"")
    others = [str(short), str(tmp_path / "none")]
    assert [parallel_scan.processes(logs[:n] + others) for n in range(6)] == [4, 4, 2, 1, 1, 0]
