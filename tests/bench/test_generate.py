"""The benchmark's logs hold what it says, and every program looks for the same in them."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from bench.scan import places, programs, speed, zimbra
from bench.scan.generate import BEGIN, Kind, Log, chunks, write
from bench.scan.measure import once
from bench.scan.rust import without_looks
from sidecar.network import Network
from tests.cli.running import records, zmban

LINES = 2_000
KINDS = pytest.mark.parametrize("kind", speed.KINDS, ids=lambda kind: kind.name)
# The practice's figures for zimbra-smtp.
MAXRETRY, FINDTIME = 2, 86400


def written(kind: Kind, place: Path) -> Log:
    return write(kind, place / kind.file, LINES)


def text(kind: Kind, lines: int = LINES, seed: int = 1) -> bytes:
    return b"".join(piece for piece, _ in chunks(kind, lines, seed))


@KINDS
def test_a_log_is_the_same_for_the_same_seed_and_begins_as_a_longer_one(kind: Kind) -> None:
    once_ = text(kind)
    assert once_ == text(kind)
    assert once_ != text(kind, seed=2)
    assert once_.count(b"\n") == LINES
    begin = once_[: len(once_) // 2]
    assert text(kind, 2 * LINES).startswith(begin)


@KINDS
def test_zmban_finds_what_was_planted(kind: Kind, tmp_path: Path) -> None:
    log = written(kind, tmp_path)
    assert log.hits > 0
    assert once(speed.ours(kind, tmp_path), log.path).found == log.hits


@KINDS
def test_the_regexes_for_ripgrep_find_what_the_filter_finds(kind: Kind, tmp_path: Path) -> None:
    log = written(kind, tmp_path)
    speed.ours(kind, tmp_path)  # makes the configuration of the kind that has none shipped
    regexes = speed.translated(kind, tmp_path)
    directory, name = (
        (tmp_path / "access", "bench-access") if "access" in kind.name else (places.CONFIG, None)
    )
    filter_ = name or {"zimbra.log": "zimbra-smtp", "mailbox.log": "zimbra-mail"}[kind.file]
    done = zmban(
        "--config", directory, "regex", "--timezone", "UTC", "--print-all-matched", log.path, filter_
    )
    assert done.returncode == 0, done.stderr
    theirs = set(found(log.path, tmp_path, "-P", regexes["pcre"]))
    lines = log.path.read_text(encoding="utf-8").splitlines()
    assert len(theirs) == log.hits
    assert theirs == {line for line in lines if line in done.stdout}
    assert theirs <= set(found(log.path, tmp_path, "--no-unicode", regexes["rust"]))


def found(log: Path, place: Path, way: str, regexes: list[str]) -> list[str]:
    file = places.failregex_file(place / "regexes", regexes)
    command = [
        str(places.tool("ripgrep")),
        "--no-config",
        "--no-filename",
        "-N",
        way,
        "-f",
        str(file),
        str(log),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_bans_over_an_attack_are_those_that_the_plainest_counting_finds(tmp_path: Path) -> None:
    log = write(zimbra.ATTACK, tmp_path / "zimbra.log", LINES, attackers=300)
    command = programs.shipped("zimbra-smtp", speed.empty(tmp_path)).command(log.path)
    done = zmban(*command[1:])
    assert done.returncode == 0, done.stderr
    bans = {one["network"]: one["at"] for one in records(done) if one["event"] == "ban"}
    assert bans == plain(log.path)


def plain(log: Path) -> dict[str, float]:
    """Each network with the time of its ban."""
    seen: dict[str, list[float]] = {}
    banned: dict[str, float] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        at = (
            datetime.strptime(f"{BEGIN.year} {line[:15]}", "%Y %b %d %H:%M:%S")
            .replace(tzinfo=UTC)
            .timestamp()
        )
        host = next(a for a in re.findall(r"\[([0-9a-f.:]+)\]", line) if "." in a or ":" in a)
        network = str(Network.parse(host).unit())
        times = seen[network] = [t for t in seen.get(network, []) if t > at - FINDTIME] + [at]
        if len(times) >= MAXRETRY:
            banned.setdefault(network, at)
            seen[network] = []
    return banned


def test_each_of_many_attackers_stands_in_the_log_once() -> None:
    lines = (
        b"".join(piece for piece, _ in chunks(zimbra.ATTACK, 5_000, attackers=5_000)).decode().splitlines()
    )
    hosts = [a for line in lines for a in re.findall(r"\[([0-9a-f.:]+)\]", line) if not a.isdigit()]
    assert len({ip_address(host) for host in hosts}) == 5_000


@pytest.mark.parametrize(
    ("regex", "left"),
    [
        (r"a(?!b(c|d))e", "ae"),
        (r"[)(?!](?=x\))y", "[)(?!]y"),
        (r"[^\]](?<=:)z", r"[^\]]z"),
        (r"[]](?<!])z", "[]]z"),
        (r"\((?:a|b(?=c[)]))", r"\((?:a|b)"),
    ],
)
def test_lookarounds_are_taken_out_and_nothing_else(regex: str, left: str) -> None:
    assert without_looks(regex) == left
