"""The review over HTTP: the report as tables, patterns to adopt, domains to refuse."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jsonschema

from sidecar.app.review.review_work import today
from sidecar.review.mail.day_counts import DayCounts
from sidecar.review.report import day_report
from tests.app.api.site import Client, served
from tests.app.running import in_process

REGEX = r"^\S+ mail x\[\d+\]: weird <HOST>$"
PATTERN = {
    "id": "abcdef0123", "log": "zimbra.log", "template": "x: weird CLIENT", "count": 5, "clients": 2, "first": 1.0,
    "last": 2.0, "samples": [{"line": "2026 mail x[1]: weird 203.0.113.7", "client": "203.0.113.7"}],
    "failregex": REGEX, "why_not": None, "trial": None,
}  # fmt: skip


def kept(root: Path, day: str, patterns: list[dict[str, Any]], text: str = "x") -> None:
    """A report that was built before."""
    more = {"health": [text], "proposals": [{"network": "203.0.113.0/24", "banned": 9, "addresses": 256}]}
    report = day_report.record(day, time.time(), "mail", DayCounts(), {}, patterns, more)
    (root / "state/reports").mkdir(parents=True, exist_ok=True)
    (root / f"state/reports/{day}.json").write_text(json.dumps(report))


async def test_the_report_of_today_is_built_if_there_is_none(client: Client) -> None:
    found = await client.get("/api/review")
    assert (found["day"], len(found["hours"])) == (today(time.time()), 24)
    assert found["days"] == [found["day"]]
    assert found["sections"][0]["title"] == "Messages"


async def test_sections_say_what_can_be_done(client: Client, tmp_path: Path) -> None:
    kept(tmp_path, "2026-11-26", [PATTERN], "<script>alert(1)</script>\x1b[2J")
    found = await client.get("/api/review?day=2026-11-26")
    by_act = {one["act"]: one for one in found["sections"] if one["act"]}
    assert by_act["ban"]["rows"][0][0] == "203.0.113.0/24"
    assert by_act["adopt"]["subject"] == 1
    health = next(one for one in found["sections"] if one["title"] == "Health")
    assert health["lines"] == ["<script>alert(1)</script>\x1b[2J"]


async def test_a_pattern_is_adopted_by_who_may_act_only(client: Client, tmp_path: Path) -> None:
    kept(tmp_path, "2026-11-26", [PATTERN, {**PATTERN, "failregex": None, "why_not": "it is no attack"}])
    body = {"day": "2026-11-26", "number": 1}
    status, _ = await client.ask("POST", "/api/review/adopt", body)
    assert status in (401, 403)
    await client.sign_in()
    status, found = await client.ask("POST", "/api/review/adopt", body)
    assert status == 200, found
    document = await client.get("/api/openapi.json")
    schema = document["paths"]["/api/review/adopt"]["post"]["responses"]["200"]["content"][
        "application/json"
    ]["schema"]
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(found)
    assert (found["name"], found["by"]) == ("zimbra-new-abcdef0123", "alice")
    for name, text in found["files"].items():
        assert (tmp_path / "state/adopted" / name).read_text() == text
    for number, expected in ((2, 409), (3, 404)):
        status, found = await client.ask("POST", "/api/review/adopt", {**body, "number": number})
        assert status == expected, found
    status, found = await client.ask("POST", "/api/review/adopt", {**body, "day": "../../etc"})
    assert (status, "YYYY-MM-DD" in found["error"]) == (400, True)


async def test_without_a_directory_a_domain_cannot_be_refused(client: Client) -> None:
    await client.sign_in()
    status, found = await client.ask("POST", "/api/domains", {"domains": ["bad.example"], "reason": "spam"})
    assert (status, "[domains] directory" in found["error"]) == (409, True)
    assert await client.get("/api/domains") == {"domains": []}


async def test_domains_are_refused_and_accepted_again(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "maps").mkdir()
    (tmp_path / "config/zmban.toml").write_text(f'[domains]\ndirectory = "{tmp_path / "maps"}"\n')
    async with in_process(tmp_path, dry_run=True) as one, served(one) as client:
        await client.sign_in()
        body = {"domains": ["Bad.example", "com"], "reason": "spam $1\n/x/ OK"}
        status, _ = await client.ask("POST", "/api/domains", body)
        assert status == 400
        status, found = await client.ask("POST", "/api/domains", {**body, "reason": "spam $1"})
        assert [one["result"] for one in found["answers"]] == ["refused-now", "rejected"]
        [domain] = (await client.get("/api/domains"))["domains"]
        assert (domain["domain"], domain["reason"], domain["by"]) == ("bad.example", "spam $1", "alice")
        document = await client.get("/api/openapi.json")
        schema = document["paths"]["/api/domains"]["post"]["responses"]["200"]["content"]["application/json"][
            "schema"
        ]
        jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(found)
        status, found = await client.ask("POST", "/api/domains/remove", {"domains": ["bad.example"]})
        assert (status, found["answers"][0]["result"]) == (200, "lifted")
        assert (await client.get("/api/domains"))["domains"] == []
