"""`--evidence auto`: the service finds the lines of networks banned by hand, while it goes on banning."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sidecar.app.evidence import evidence_finder, log_search
from sidecar.app.evidence.evidence_finder import EvidenceFinder
from sidecar.app.evidence.log_search import Bounds, LogSearch, SearchResult
from sidecar.network import Network
from sidecar.serve.control import RefusedError
from sidecar.sources.files.descriptors import open_regular
from tests.app.running import InProcess, in_process, service
from tests.cli.running import records, zmban
from tests.netns import Namespace

EVIL = "203.0.113.7"
OLD = "Jan  4 10:00:01 mail postfix/smtps/smtpd[1]: warning: unknown[{}]: SASL LOGIN authentication failed: x"


@pytest.mark.kernel
def test_the_lines_of_a_ban_are_found_in_the_logs_and_stay_over_a_restart(
    host: Namespace, tmp_path: Path
) -> None:
    with service(tmp_path) as running:
        packed = running.log.with_name("zimbra.log.1.gz")
        packed.write_bytes(
            gzip.compress((OLD.format("203.0.113.70") + "\n" + OLD.format(EVIL) + "\n").encode())
        )
        running.attack(EVIL, times=1)
        running.attack("198.51.100.9", times=1)
        done = zmban(
            "ban", EVIL, "203.0.113.0/24", "127.0.0.1", "--reason", "x", "--evidence", "auto",
            "--socket", running.socket,
        )  # fmt: skip
        assert done.returncode == 65
        assert "127.0.0.1/32: refused (reserved)" in done.stderr
        assert (
            f"evidence: 5 log lines of 2 networks in 2 files, 0 MB: {EVIL}/32 2, 203.0.113.0/24 3"
            in done.stdout
        )
        running.stop()
        running.start()
        lines = {one["network"]: one["evidence"] for one in running.ask("bans")}
        assert lines["203.0.113.0/24"][:2] == [OLD.format("203.0.113.70"), OLD.format(EVIL)]
        assert [EVIL in line for line in lines[f"{EVIL}/32"]] == [True, True]
        # Lines that a ban has are not replaced.
        running.attack(EVIL, times=1)
        told = records(
            zmban("ban", EVIL, "--reason", "x", "--evidence", "auto", "--jsonl", "--socket", running.socket)
        )
        assert [one.get("result") or one["event"] for one in told] == ["standing", "evidence"]
        assert (told[1]["found"], told[1]["stopped"], told[1]["unread"]) == ([], None, [])


@pytest.fixture
async def one(tmp_path: Path) -> Any:
    async with in_process(tmp_path, dry_run=True) as started:
        yield started


def finder(one: InProcess, bounds: Bounds) -> EvidenceFinder:
    parts = one.parts
    return EvidenceFinder(one.register, parts.logs, one.suspects.trust, parts.commit_queue, bounds)


async def test_the_service_goes_on_while_the_logs_are_searched(
    one: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one.tell("ban", networks=["203.0.113.7"], reason="x")
    following = asyncio.create_task(one.logs.run())
    await one.logs.caught_up.wait()
    reached, may_go = threading.Event(), threading.Event()

    def slow(path: str) -> object:
        reached.set()
        may_go.wait(30)
        return open_regular(path)

    monkeypatch.setattr(log_search, "open_regular", slow)
    searching = asyncio.create_task(one.tell("evidence", networks=["203.0.113.7"]))
    await asyncio.to_thread(reached.wait, 30)
    assert (await one.tell("ban", networks=["198.51.100.7"], reason="x"))[0]["result"] == "banned"
    assert not searching.done()
    may_go.set()
    assert (await searching)["files"] == 1
    following.cancel()
    await asyncio.wait([following])


async def test_only_bans_by_hand_without_lines_are_searched_for(one: InProcess) -> None:
    await one.tell("ban", networks=["203.0.113.7"], reason="x", evidence=["given"])
    found = await one.tell("evidence", networks=["203.0.113.7", "198.51.100.7"])
    assert (found["found"], found["files"]) == ([], 0)
    assert [ban.evidence for ban in one.commit_queue.database.bans()] == [("given",)]


async def test_a_disk_that_does_not_answer_is_reported_and_not_asked_again(
    one: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one.tell("ban", networks=["203.0.113.7"], reason="x")
    answers = threading.Event()

    def hanging(self: LogSearch, logs: object) -> SearchResult:
        answers.wait(30)
        return SearchResult({Network.parse("203.0.113.7"): ["late"]})

    monkeypatch.setattr(LogSearch, "run", hanging)
    monkeypatch.setattr(evidence_finder, "_PATIENCE", 0.05)
    slow = finder(one, Bounds(seconds=0.05))
    for words in ("their disk does not answer", "an earlier search waits"):
        with pytest.raises(RefusedError, match=words):
            await slow.find(["203.0.113.7"])
    answers.set()
    end = time.monotonic() + 10
    while slow._search and not slow._search.done():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    assert (await slow.find(["203.0.113.7"]))["found"] == [{"network": "203.0.113.7/32", "lines": 1}]


async def test_what_cannot_be_saved_is_told(one: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    await one.tell("ban", networks=["203.0.113.7"], reason="x")
    monkeypatch.setattr(one.commit_queue, "commit", lambda: asyncio.sleep(0, "the disk is full"))
    with pytest.raises(RefusedError, match="cannot be saved: the disk is full"):
        await one.tell("evidence", networks=["203.0.113.7"])
    monkeypatch.undo()


async def test_text_that_is_no_network_and_too_many_are_one_sentence(one: InProcess) -> None:
    with pytest.raises(ValueError, match="nobody"):
        await one.tell("evidence", networks=["nobody"])
    with pytest.raises(ValueError, match="at most 1000 items"):
        await one.tell("evidence", networks=["203.0.113.7"] * 1001)


def test_too_many_networks_are_a_matter_of_usage(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("203.0.113.7\n" * 1001)
    done = zmban("ban", "--file", tmp_path / "list", "--reason", "x", "--evidence", "auto", "--socket", "/no")
    assert done.returncode == 64
    assert "up to 1,000 networks at a time" in done.stderr
