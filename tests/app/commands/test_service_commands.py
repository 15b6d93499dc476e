"""Commands that ask of the service as a whole: bans, import, status, explain, flush, resume, reload."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sidecar.model import Ban, Failure, Refused
from sidecar.network import Network
from sidecar.serve.control import RefusedError
from tests.app.running import InProcess

WHO, OTHER = Network.parse("203.0.113.7"), Network.parse("198.51.100.7")
LINES = ("authentication failed for [bob@example.com]",)


def ban(network: Network = WHO, jail: str = "smtp") -> Ban:
    return Ban(network, jail, 1.0, None, "log", "2 failures", 2, LINES, dry=True)


def record(**more: Any) -> dict[str, Any]:
    values = {"network": str(WHO), "jail": "mail", "at": time.time() - 9.0, "until": None, "reason": "a list"}
    return values | {"failures": 3, "count": 2, "evidence": ["x"], "current": True} | more


async def test_bans_are_listed_with_their_evidence_of_one_jail_or_around_an_address(one: InProcess) -> None:
    one.ban(ban(), ban(jail="web"), ban(OTHER))
    page = await one.tell("bans")
    assert [(r["network"], r["jail"]) for r in page["bans"]] == [
        (str(WHO), "smtp"), (str(WHO), "web"), (str(OTHER), "smtp"),
    ]  # fmt: skip
    assert {tuple(r["evidence"]) for r in page["bans"]} == {LINES}
    assert page["next"] is None
    assert len((await one.tell("bans", jail="web"))["bans"]) == 1
    assert len((await one.tell("bans", contains="198.51.100.7"))["bans"]) == 1
    assert [r["evidence"] for r in (await one.tell("bans", jail="web", lines=False))["bans"]] == [[]]


async def test_an_import_is_answered_with_what_became_of_each_when_it_is_written(one: InProcess) -> None:
    records = [
        record(),
        record(network="198.51.100.7", until=time.time() - 1),
        record(network="127.0.0.1"),
    ]
    answer = await one.tell("import", records=records)
    assert answer["counts"] == {"banned": 1, "history": 1, "refused": 1}
    assert answer["told"] == [
        {"event": "refused", "network": "127.0.0.1/32", "jail": "mail", "reason": "reserved"}
    ]
    (stored,) = one.commit_queue.database.bans()
    assert (stored.network, stored.origin, stored.times, stored.dry) == (WHO, "import", 2, True)
    assert (await one.tell("import", records=records[:2]))["counts"] == {"unchanged": 2}


@pytest.mark.parametrize(
    "wrong",
    [
        {"network": "nobody"},
        {"at": -1},
        {"until": 1e99},
        {"count": 2**70},
        {"failures": -1},
        {"jail": ""},
        {"current": "yes"},
        {"evidence": "text"},
        {"more": 1},
    ],
)
async def test_a_wrong_record_is_answered_and_none_of_its_request_is_taken(
    one: InProcess, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ValueError):
        await one.tell("import", records=[record(), record(**wrong)])
    assert list(one.table) == []
    assert not one.commit_queue.behind


async def test_imports_at_once_count_everything_once(one: InProcess) -> None:
    networks = [f"198.51.100.{number}" for number in range(250)]
    records = [record(network=network, at=1.0, until=60.0) for network in networks]
    answers = await asyncio.gather(*(one.tell("import", records=records) for _ in range(3)))
    counts = sum((Counter(answer["counts"]) for answer in answers), Counter[str]())
    assert counts == {"history": 250, "unchanged": 500}
    keys = [(Network.parse(network), "mail") for network in networks]
    past = one.commit_queue.database.history(keys)
    assert sum(map(len, past.values())) == 250


async def test_nothing_is_imported_that_could_not_be_written(
    one: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing() -> str:
        return "the disk is full"

    monkeypatch.setattr(one.commit_queue, "commit", failing)
    with pytest.raises(RefusedError, match="nothing was imported: the disk is full") as raised:
        await one.tell("import", records=[record()])
    assert raised.value.exit_code == 69
    monkeypatch.undo()
    assert list(one.table) == []


async def test_status_tells_of_the_dry_run_the_jails_and_the_refusals(one: InProcess) -> None:
    one.ban(ban())
    one.bus.publish([Refused("203.0.113.7", "smtp", 1.0, "framed", "198.51.100.7", "a line")])
    told = await one.tell("status")
    assert (told["dry_run"], told["enforced"], told["not_enforced_because"]) == (True, False, ["dry run"])
    assert (told["dry_bans"], told["networks_banned"]) == (1, 0)
    assert [(jail["jail"], jail["dry_bans"], jail["maxretry"]) for jail in told["jails"]] == [("smtp", 1, 2)]
    assert [(one["named"], one["client"], one["line"]) for one in told["framed"]] == [
        ("203.0.113.7", "198.51.100.7", "a line")
    ]
    assert told["store"] == "good"
    assert told["last_bans"] == [{"network": str(WHO), "jail": "smtp", "at": 1.0, "reason": "2 failures"}]


async def test_explain_answers_for_an_address_and_for_an_account(one: InProcess) -> None:
    one.ban(ban())
    await one.tell("allow", networks=[str(OTHER)], reason="a friend")
    window = one.engine.jails["smtp"].window
    window.restore(Network.parse("203.0.113.8"), time.time(), LINES[0])
    verdicts = {
        subject: (await one.tell("explain", subject=subject))["verdict"]
        for subject in (str(WHO), "198.51.100.7", "203.0.113.8", "203.0.113.9", "bob@example.com", "bob")
    }
    assert verdicts == {
        str(WHO): "not banned (dry run)",
        "198.51.100.7": "protected",
        "203.0.113.8": "failing",
        "203.0.113.9": "not banned",
        "bob@example.com": "concerned by bans",
        "bob": "concerned by bans",
    }
    told = await one.tell("explain", subject="bob@example.com")
    assert [found["network"] for found in told["bans"]] == [str(WHO)]
    assert [found["network"] for found in told["failures"]] == ["203.0.113.8/32"]


async def test_a_flush_suspends_and_a_resume_goes_on(one: InProcess) -> None:
    assert (await one.tell("flush"))["result"] == "suspended"
    assert one.enforcer.suspended
    assert (await one.tell("resume"))["result"] == "resumed"
    assert not one.enforcer.suspended


async def test_a_reload_takes_over_what_is_written_or_tells_why_not(one: InProcess, tmp_path: Path) -> None:
    written = tmp_path / "config/jail.local"
    written.write_text("[smtp]\nmaxretry = 7\n", encoding="utf-8")
    answer = await one.tell("reload")
    assert answer["result"] == "reloaded"
    assert answer["jails"] == [{"jail": "smtp", "change": "changed", "options": ["maxretry"]}]
    assert one.engine.jails["smtp"].spec.maxretry == 7
    assert one.engine.jails["smtp"].spec.dry_run, "a dry run stays one"
    written.write_text("[smtp]\nmaxretry = many\n", encoding="utf-8")
    answer = await one.tell("reload")
    assert answer["result"] == "refused"
    assert "maxretry" in answer["faults"][0]
    assert one.engine.jails["smtp"].spec.maxretry == 7


async def test_a_reload_lifts_the_bans_of_jails_that_are_gone_where_it_is_told_to(
    one: InProcess, tmp_path: Path
) -> None:
    written = tmp_path / "config/jail.local"
    written.write_text("[gone]\nenabled = true\nfilter = zimbra-smtp\nlogpath = /x.log\n", encoding="utf-8")
    await one.tell("reload")
    one.ban(ban(), ban(jail="gone"))
    written.write_text("", encoding="utf-8")
    await one.tell("reload")
    assert len(one.table) == 1 and len(list(one.table)) == 2
    written.write_text("[gone]\nenabled = true\nfilter = zimbra-smtp\nlogpath = /x.log\n", encoding="utf-8")
    await one.tell("reload")
    written.write_text("", encoding="utf-8")
    assert (await one.tell("reload", lift=True))["lifted"] == 1
    assert [found.jail for found in one.commit_queue.database.bans()] == ["smtp"]


async def test_failures_that_were_counted_are_part_of_what_status_tells(one: InProcess) -> None:
    one.engine.jails["smtp"].window.restore(WHO, time.time(), "line")
    one.bus.publish([Failure("smtp", WHO, time.time(), "line")])
    assert [jail["failing"] for jail in (await one.tell("status"))["jails"]] == [1]
