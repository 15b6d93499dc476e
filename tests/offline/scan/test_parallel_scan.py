"""Scanning a log in several processes gives the same result as in one."""

from __future__ import annotations

import bz2
import gzip
import lzma
import multiprocessing
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sidecar.detect.prefilter.prefilter import Candidate, Prefilter
from sidecar.fail2ban.spec import FilterSpec, Pattern
from sidecar.model import SourceError
from sidecar.offline.scan import parallel_scan
from sidecar.sources import whole_lines

LINES = [b"no" * (n % 37) + (b" wanted %d" % n if n % 11 == 0 else b"") for n in range(3000)]


@pytest.fixture
def prefilter() -> Prefilter:
    wanted = r"^.* wanted \d+$"
    return Prefilter([FilterSpec("test", (Pattern(wanted, re.compile(wanted), "test.conf", 1),))])


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small parts, as if the log had many gigabytes."""
    for room, name, size in (
        (whole_lines, "BLOCK", 512),
        (whole_lines, "LONGEST", 1024),
        (parallel_scan, "LONGEST", 1024),
        (parallel_scan, "_PART", 4096),
        (parallel_scan, "_SHORT", 0),
    ):
        monkeypatch.setattr(room, name, size)


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
    with pytest.raises(SourceError, match="a reading process was killed; check the free memory"):
        for _ in sifted:
            pass


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["log.1.{}", "log"])
def test_a_compressed_log_is_read_whatever_its_name(
    tmp_path: Path, prefilter: Prefilter, pack: Callable[[bytes], bytes], name: str
) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"\n".join(LINES))
    suffix = {gzip.compress: "gz", bz2.compress: "bz2", lzma.compress: "xz"}[pack]
    log = tmp_path / name.format(suffix)
    log.write_bytes(pack(plain.read_bytes()))
    assert read(log, prefilter, 2) == read(plain, prefilter, 2)


def test_a_damaged_log_and_one_that_is_not_there_are_named(tmp_path: Path, prefilter: Prefilter) -> None:
    for name in ("log.gz", "log"):
        (tmp_path / name).write_bytes(gzip.compress(b"\n".join(LINES))[:100])
    (tmp_path / "log.zst").write_bytes(b"(\xb5/\xfd")
    for name, why in (
        ("log.gz", "Compressed file ended"),
        ("log", "Compressed file ended"),
        ("log.zst", "not compressed by gzip, bzip2 or xz"),
        ("none", "No such file"),
    ):
        with pytest.raises(SourceError, match=f"{name} cannot be read: {why}"):
            read(tmp_path / name, prefilter, 2)


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
