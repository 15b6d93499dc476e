"""The trial of proposals on log files: hits, clients, bans, and hits by known-good clients."""

from __future__ import annotations

import bz2
import gzip
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

from sidecar.model import SourceError
from sidecar.network import Network
from sidecar.offline.review import trial
from sidecar.offline.review.trial import KnownGoodHit, TrialResult
from sidecar.review.patterns.mined_pattern import MinedPattern
from tests.review.patterns.logs import ATTACKS, NOW, TRUST, attacked, patterns

LOGIN = (
    "Jan  5 08:00:01 mail postfix/submission/smtpd[9]: 4A1B2C3D4E: client=host.example.net[{}], sasl_method=LOGIN, "
    "sasl_username=bob@example.com"
)


def text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def proposed(name: str) -> tuple[MinedPattern, list[str], list[str]]:
    attack = ATTACKS[name]
    lines, clients = attacked(attack)
    (pattern,) = [one for one in patterns(attack.log, lines) if one.failregex]
    return pattern, lines, clients


def tried(pattern: MinedPattern, files: dict[str, str], **options: object) -> TrialResult:
    return trial.tried([pattern], files, UTC, TRUST, NOW, **options)[pattern.id]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ATTACKS)
def test_a_proposal_hits_the_lines_of_the_attack_and_would_ban_its_clients(name: str, tmp_path: Path) -> None:
    pattern, lines, clients = proposed(name)
    path = tmp_path / ATTACKS[name].log
    path.write_bytes(text(lines))
    result = tried(pattern, {str(path): ATTACKS[name].log})
    assert (result.hits, result.clients, result.bans, result.framed) == (60, len(clients), len(clients), 0)
    assert result.complete and not result.slow and not result.more and result.known_good == ()
    assert {one.removesuffix("/64").removesuffix("::") for one in result.banned} == {
        one.removesuffix("::7") if ":" in one else one for one in clients
    } or any("/64" in one for one in result.banned)
    assert result.record()["hits"] == 60


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lambda data: data])
def test_rotated_files_are_read_with_the_current_one(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    pattern, lines, clients = proposed("postfix, ISO dates")
    current, rotated = tmp_path / "zimbra.log", tmp_path / "zimbra.log.1.gz"
    rotated.write_bytes(pack(text(lines[:1000])))
    current.write_bytes(text(lines[1000:]).removesuffix(b"\n"))
    os.utime(rotated, (1, 1))
    result = tried(pattern, {str(current): "zimbra.log", str(rotated): "zimbra.log"})
    # Each client has three lines, and most have them in both files.
    assert (result.hits, result.clients, result.bans) == (60, len(clients), len(clients))


def test_as_many_failures_as_maxretry_within_findtime_would_ban(tmp_path: Path) -> None:
    pattern, lines, clients = proposed("nginx.access.log")
    path = tmp_path / "x"
    path.write_bytes(text(lines))
    files = {str(path): "nginx.access.log"}
    assert tried(pattern, files, maxretry=1).bans == len(clients)
    assert tried(pattern, files, maxretry=4).bans == 0
    assert tried(pattern, files, maxretry=3, findtime=2.0).bans == 0
    assert 0 < tried(pattern, files, maxretry=2, findtime=300.0).bans < len(clients)


def test_hits_by_clients_that_logged_in_are_told_with_their_accounts(tmp_path: Path) -> None:
    pattern, lines, clients = proposed("postfix, BSD dates")
    path = tmp_path / "zimbra.log"
    path.write_bytes(text([*lines, LOGIN.format(clients[0]), LOGIN.format("192.0.2.77")]))
    result = tried(pattern, {str(path): "zimbra.log"}, good=[Network.parse(f"{clients[1]}/32")])
    assert set(result.known_good) == {
        KnownGoodHit(clients[0], 3, ("bob@example.com",)), KnownGoodHit(clients[1], 3)
    }  # fmt: skip
    assert result.known_good_hits == 6


def test_logins_in_another_log_count_too(tmp_path: Path) -> None:
    pattern, lines, clients = proposed("nginx.access.log")
    access, zimbra = tmp_path / "a", tmp_path / "z"
    access.write_bytes(text(lines))
    zimbra.write_bytes(text([LOGIN.format(clients[2])]))
    result = tried(pattern, {str(access): "nginx.access.log", str(zimbra): "zimbra.log"})
    assert [one.client for one in result.known_good] == [clients[2]]


def test_a_regex_that_is_slow_is_stopped_and_told(tmp_path: Path) -> None:
    pattern, _, _ = proposed("postfix, BSD dates")
    slow = replace(pattern, failregex=r"^\s*\S+ (?:x+x+)+[^x] reject from \[<HOST>\]")
    path = tmp_path / "zimbra.log"
    line = f"Jan  5 10:00:01 mail {'x' * 60} reject from [203.0.113.7]"
    path.write_bytes(text([line] * 50))
    begun = time.monotonic()
    result = tried(slow, {str(path): "zimbra.log"})
    assert result.slow and result.hits == 0
    assert time.monotonic() - begun < 20


def test_a_trial_that_takes_too_long_is_told_to_be_incomplete(tmp_path: Path) -> None:
    pattern, lines, _ = proposed("postfix, BSD dates")
    path = tmp_path / "zimbra.log"
    path.write_bytes(text(lines * 20))
    result = tried(pattern, {str(path): "zimbra.log"}, seconds=0.0)
    assert not result.complete and result.hits < 60 * 20


def test_a_pattern_without_a_failregex_is_not_tried(tmp_path: Path) -> None:
    pattern, _, _ = proposed("postfix, BSD dates")
    path = tmp_path / "zimbra.log"
    path.write_bytes(b"")
    none = replace(pattern, failregex="", why_not="x")
    assert trial.tried([none], {str(path): "zimbra.log"}, UTC, TRUST, NOW) == {}


def test_a_file_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    pattern, lines, _ = proposed("postfix, BSD dates")
    with pytest.raises(SourceError, match="gone"):
        tried(pattern, {str(tmp_path / "gone"): "zimbra.log"})
    damaged = tmp_path / "zimbra.log.2.gz"
    damaged.write_bytes(gzip.compress(text(lines))[:-2000])
    with pytest.raises(SourceError, match=r"zimbra\.log\.2\.gz cannot be read"):
        tried(pattern, {str(damaged): "zimbra.log"})
