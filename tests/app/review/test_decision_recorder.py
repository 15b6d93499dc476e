"""The decisions of a day are noted while they pass, by day, and survive a restart."""

from __future__ import annotations

import time
from pathlib import Path

from sidecar.app.review.decision_recorder import DecisionRecorder
from sidecar.model import Ban, Batch, Failure, LineFacts, Match, Refused
from sidecar.network import Network
from tests.app.running import InProcess, in_process

NOON = time.mktime((2026, 11, 26, 12, 0, 0, 0, 0, -1))
DAY = "2026-11-26"


class Clock:
    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> float:
        return self.at


def recorder(one: InProcess, clock: Clock) -> DecisionRecorder:
    return DecisionRecorder(one.parts.active, one.parts.memory.known_good.clients, one.parts.memos, clock)


def failed(host: str, account: str) -> list[Match | Failure]:
    facts = LineFacts(host, account=account)
    return [
        Match("smtp", host, NOON, "a line", "zimbra.log", facts),
        Failure("smtp", Network.parse(host), NOON, "a line"),
    ]


async def test_counts_accounts_near_misses_and_framed_lines_are_noted(tmp_path: Path) -> None:
    async with in_process(tmp_path, dry_run=True) as one:
        notes = recorder(one, Clock())
        for n in range(1, 7):
            notes.handle(Batch(failed(f"203.0.113.{n}", "Bob@example.com")))
        notes.handle(
            Batch([Ban(Network.parse("203.0.113.1"), "smtp", NOON, None, "log", "2 failures", 2, ("x", "y"))])
        )
        notes.handle(Batch([Refused("198.51.100.9", "smtp", NOON, "framed", "203.0.113.7", "a forged line")]))
        found = notes.decisions(DAY)
    assert found["jails"]["smtp"] == {
        "matches": 6, "failures": 6, "bans": 1, "dry_bans": 0, "unbans": 0, "refused": {"framed": 1},
    }  # fmt: skip
    [account] = found["accounts"]
    assert (account["account"], account["failures"], account["from"], account["distributed"]) == ("bob@example.com", 6, 6, True)  # fmt: skip
    assert [one["network"] for one in found["near_misses"]] == [f"203.0.113.{n}/32" for n in range(2, 7)]
    assert found["bans"][0]["evidence"] == ["x", "y"]
    assert found["framed"] == [{"jail": "smtp", "named": "198.51.100.9", "client": "203.0.113.7", "line": "a forged line"}]  # fmt: skip


async def test_good_users_who_fail_or_are_banned_are_noted(tmp_path: Path) -> None:
    async with in_process(tmp_path, dry_run=True) as one:
        clock = Clock()
        one.parts.memory.known_good.clients.login(Network.parse("203.0.113.1"), "bob@example.com", NOON)
        notes = recorder(one, clock)
        notes.handle(Batch([*failed("203.0.113.1", "bob@example.com"), *failed("203.0.113.2", "x")]))
        nearly = notes.decisions(DAY)["good_users"]
        notes.handle(Batch([Ban(Network.parse("203.0.113.1"), "smtp", NOON, None, "log")]))
        banned = notes.decisions(DAY)["good_users"]
    assert [(one["network"], one["accounts"], one["failures"], one["banned"]) for one in nearly] == [("203.0.113.1/32", 1, 1, False)]  # fmt: skip
    assert [one["banned"] for one in banned] == [True]


async def test_notes_are_by_day_and_survive_a_restart(tmp_path: Path) -> None:
    async with in_process(tmp_path, dry_run=True) as one:
        clock = Clock()
        notes = recorder(one, clock)
        notes.handle(Batch(failed("203.0.113.1", "a")))
        notes.finish()
        again = recorder(one, clock)
        again.handle(Batch(failed("203.0.113.1", "a")))
        assert again.decisions(DAY)["jails"]["smtp"]["failures"] == 2
        clock.at += 86400
        again.handle(Batch(failed("203.0.113.1", "a")))
        assert again.decisions(DAY)["jails"]["smtp"]["failures"] == 2
        assert again.decisions("2026-11-27")["jails"]["smtp"]["failures"] == 1
        assert again.decisions("2026-11-01") == {}
        clock.at += 40 * 86400
        again.handle(Batch(failed("203.0.113.1", "a")))
        assert again.decisions(DAY) == {}


async def test_a_jail_is_silent_after_thirty_days_without_a_failure(tmp_path: Path) -> None:
    async with in_process(tmp_path, dry_run=True) as one:
        clock = Clock()
        notes = recorder(one, clock)
        await notes.save()
        assert notes.silent_jails() == []
        clock.at += 400 * 86400
        notes.handle(Batch([Refused("x", "smtp", NOON, "framed")]))
        assert notes.silent_jails() == ["smtp"]
        notes.handle(Batch(failed("203.0.113.1", "a")))
        notes.finish()
        assert notes.silent_jails() == []


async def test_damaged_notes_are_left_behind(tmp_path: Path) -> None:
    async with in_process(tmp_path, dry_run=True) as one:
        one.parts.memos.put("review-notes", DAY, '{"jails": 5}')
        notes = recorder(one, Clock())
        notes.handle(Batch(failed("203.0.113.1", "a")))
        assert notes.decisions(DAY)["jails"]["smtp"]["failures"] == 1
