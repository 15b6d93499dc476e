"""The API: every answer is as its OpenAPI document says, and says what the service knows."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from sidecar.model import Ban, Failure
from sidecar.network import Network
from tests.app.api.site import Client, served
from tests.app.running import in_process
from tests.netns import Namespace

WHO, OTHER, WIDE = "203.0.113.7/32", "198.51.100.7/32", "203.0.113.0/24"
LINE = (
    "Nov 27 10:00:00 mail postfix/smtps/smtpd[1]: warning: unknown[203.0.113.7]: "
    "SASL LOGIN authentication failed: x, sasl_username=bob@example.com"
)


def ban(network: str, jail: str = "smtp", reason: str = "2 failures in 86400 s", at: float = 1000.0) -> Ban:
    return Ban(Network.parse(network), jail, at, None, "log", reason, 2, (LINE,), dry=True)


async def filled(client: Client) -> None:
    """Some bans, a failure, and something that is allowed."""
    one = client.one
    one.ban(ban(WHO), ban(WHO, "other"), ban(OTHER, reason="1 failure in 60 s"), ban("2001:db8:1:2::/64"))
    one.bus.publish([Failure("smtp", Network.parse("203.0.113.9"), time.time(), LINE)])
    one.engine.jails["smtp"].window.add(Network.parse("203.0.113.9"), time.time(), LINE)
    await one.tell("allow", networks=["198.51.100.99"], reason="a customer")


PATHS = (
    "/api/session", "/api/status", "/api/bans", "/api/bans?q=203.0.113.7&limit=1", f"/api/bans/{WHO}",
    "/api/bans/2001:db8:1:2::%2F64", "/api/bans/192.0.2.1", "/api/allowed", "/api/jails", "/api/jails/smtp", "/api/logs",
    "/api/explain?address=203.0.113.7", "/api/explain?account=bob@example.com", "/api/rates", "/api/preview?network=203.0.112.0/22", "/api/preview?network=127.0.0.1", "/api/openapi.json",
    "/api/review", "/api/review?day=2026-11-26&fresh=true", "/api/domains",
)  # fmt: skip
POSTS: dict[str, dict[str, Any]] = {
    "/api/ban": {"networks": [WHO, "nobody", "127.0.0.1"], "reason": "x"},
    "/api/unban": {"networks": [WHO]},
    "/api/allow": {"networks": ["198.51.100.1"], "reason": "x"},
    "/api/disallow": {"networks": ["198.51.100.1"]},
}


def resolved(schema: Any, document: dict[str, Any]) -> jsonschema.protocols.Validator:
    """A validator for a schema that may refer to the document's components."""
    return jsonschema.Draft202012Validator({**schema, "components": document["components"]})


async def test_the_document_is_valid_and_names_every_route(client: Client) -> None:
    document = await client.get("/api/openapi.json")
    validate(document)
    named = {(path, method.upper()) for path, item in document["paths"].items() for method in item}
    assert named == {(route.path, route.method) for route in client.site._router.routes}
    for item in document["paths"].values():
        assert all(operation["summary"] for operation in item.values())


@pytest.mark.parametrize("path", PATHS)
async def test_an_answer_is_as_the_document_says(client: Client, path: str) -> None:
    await filled(client)
    document = await client.get("/api/openapi.json")
    named = {
        "/api/bans/": "/api/bans/{network}", "/api/jails/": "/api/jails/{jail}",
    }  # fmt: skip
    bare = next((to for begin, to in named.items() if path.startswith(begin)), path.partition("?")[0])
    schema = document["paths"][bare]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    resolved(schema, document).validate(await client.get(path))


@pytest.mark.parametrize("path", POSTS)
async def test_the_answer_of_an_action_is_as_the_document_says(client: Client, path: str) -> None:
    await client.sign_in()
    document = await client.get("/api/openapi.json")
    operation = document["paths"][path]["post"]
    resolved(operation["requestBody"]["content"]["application/json"]["schema"], document).validate(
        POSTS[path]
    )
    status, found = await client.ask("POST", path, POSTS[path])
    assert status == 200, found
    resolved(operation["responses"]["200"]["content"]["application/json"]["schema"], document).validate(found)


async def test_an_error_is_one_sentence_and_as_the_document_says(client: Client) -> None:
    document = await client.get("/api/openapi.json")
    for path, expected in (
        ("/api/bans?limit=0", 400), ("/api/bans?limit=x", 400), ("/api/bans?nonsense=1", 400), ("/api/bans?q=a&q=b", 400),
        ("/api/bans/nobody", 400), ("/api/jails/nobody", 404), ("/api/none", 404), ("/api/explain", 400),
        ("/api/explain?address=1.2.3.4&account=bob", 400), ("/api/explain?line=x&log=/etc/shadow", 400),
    ):  # fmt: skip
        status, found = await client.ask("GET", path)
        assert status == expected, (path, found)
        resolved(document["components"]["schemas"]["Error"], document).validate(found)
    assert (await client.ask("DELETE", "/api/bans"))[0] == 405


async def test_bans_are_listed_newest_first_in_parts_that_belong_together(client: Client) -> None:
    client.one.ban(*(ban(f"198.51.100.{n}/32", at=float(n)) for n in range(1, 201)))
    first = await client.get("/api/bans?limit=50")
    assert (first["total"], first["offset"], first["next"]) == (200, 0, 50)
    assert [one["network"] for one in first["bans"][:2]] == ["198.51.100.200/32", "198.51.100.199/32"]
    # What is banned meanwhile moves nothing within the view.
    client.one.ban(ban(WHO))
    rest = await client.get(f"/api/bans?limit=500&offset=50&view={first['view']}")
    networks = [one["network"] for one in (*first["bans"], *rest["bans"])]
    assert networks == [f"198.51.100.{n}/32" for n in range(200, 0, -1)]
    assert rest["next"] is None
    assert [one["row"] for one in rest["bans"]][:2] == [50, 51]
    # A view that is not known any more is replaced, and the answer says so.
    fresh = await client.get("/api/bans?q=203.0.113.&view=gone")
    assert fresh["view"] not in ("gone", first["view"])
    assert [one["network"] for one in fresh["bans"]] == [WHO]


async def test_a_network_that_is_not_banned_any_more_leaves_its_row_out(client: Client) -> None:
    client.one.ban(ban(WHO), ban(OTHER))
    view = (await client.get("/api/bans"))["view"]
    await client.one.tell("unban", networks=[OTHER])
    found = await client.get(f"/api/bans?view={view}")
    assert [(one["network"], one["row"]) for one in found["bans"]] == [(WHO, 1)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("203.0.113.7", {WHO}), (WHO, {WHO}), ("203.0.113.0/24", {WHO}), ("203.0.", {WHO}), ("203.", {WHO}),
        ("198.51.100.8", set()), ("2001:db8:1:2::5", {"2001:db8:1:2::/64"}), ("2001:db8:", {"2001:db8:1:2::/64"}),
        ("2001:db8::/32", {"2001:db8:1:2::/64"}), ("other", {WHO}), ("1 failure", {OTHER}), ("60 S", {OTHER}),
        ("bob@example.com", {WHO, OTHER, "2001:db8:1:2::/64"}), ("account:ob", set()), ("ob@example.com", set()),
        ("nothing like this", set()), ("(", set()), ("999.", set()), ("0.0.0.0/0", {WHO, OTHER}), ("203.0.113.7 ", {WHO}),
    ],
)  # fmt: skip
async def test_a_search_finds_addresses_networks_accounts_jails_and_reasons(
    client: Client, query: str, expected: set[str]
) -> None:
    await filled(client)
    await client.one.commit_queue.commit()
    async with client.http.get(f"{client.url}/api/bans", params={"q": query}) as answer:
        found = await answer.json()
    assert {one["network"] for one in found["bans"]} == expected
    assert found["total"] == len(expected)


async def test_bans_of_one_jail_are_found(client: Client) -> None:
    await filled(client)
    found = await client.get("/api/bans?jail=other")
    # Both bans of the network are shown.
    assert [(one["network"], one["jail"]) for one in found["bans"]] == [(WHO, "smtp"), (WHO, "other")]


async def test_a_ban_of_a_network_folds_those_inside_away_but_a_search_finds_them(
    host: Namespace, tmp_path: Path
) -> None:
    async with in_process(tmp_path) as one, served(one) as client:
        enforced = [ban(n)._replace(dry=False) for n in (WHO, "203.0.113.9/32", OTHER)]
        one.ban(*enforced, ban(WIDE, "manual", "bad network")._replace(dry=False))
        found = await client.get("/api/bans")
        assert [(each["network"], each["folded"]) for each in found["bans"]] == [(WIDE, 2), (OTHER, 0)]
        inner = (await client.get("/api/bans?q=203.0.113.7/32"))["bans"]
        assert {(each["network"], each["folded_into"]) for each in inner} == {(WHO, WIDE), (WIDE, None)}


async def test_one_network_shows_why_who_and_what_is_around_it(client: Client) -> None:
    await filled(client)
    client.one.ban(ban("203.0.113.200/32"), ban(WIDE, "manual", "bad network"))
    found = await client.get(f"/api/bans/{WHO}")
    assert [(one["jail"], one["evidence"]) for one in found["bans"]] == [("smtp", [LINE]), ("other", [LINE])]
    assert [one["network"] for one in found["covering"]] == [WIDE]
    assert found["neighbours"]["network"] == WIDE
    assert [one["network"] for one in found["neighbours"]["bans"]] == [WIDE, "203.0.113.200/32"]
    assert found["kernel"]["refused"] is False
    wide = await client.get(f"/api/bans/{WIDE}")
    assert wide["inside"]["total"] == 2
    assert wide["covers"]["addresses"] == 256
    await client.one.tell("unban", networks=["203.0.113.7"])
    assert (await client.get(f"/api/bans/{WHO}"))["bans"] == []


async def test_the_accounts_of_the_evidence_are_named(client: Client) -> None:
    await filled(client)
    assert (await client.get(f"/api/bans/{WHO}"))["accounts"] == [{"account": "bob@example.com", "lines": 2}]


async def test_a_jail_shows_its_settings_with_file_and_line_and_near_misses(client: Client) -> None:
    await filled(client)
    found = await client.get("/api/jails/smtp")
    settings = {one["option"]: one for one in found["settings"]}
    assert (settings["maxretry"]["value"], settings["maxretry"]["line"]) == ("2", 4)
    assert settings["maxretry"]["file"].endswith("jail.d/test.conf")
    assert settings["maxmatches"]["file"] is None
    assert found["missed"] == [{"network": "203.0.113.9/32", "jail": "smtp", "failures": 1, "maxretry": 2}]
    assert found["near_misses"] == 1
    assert all(one["file"].endswith("zimbra-smtp.conf") and one["line"] > 0 for one in found["regexes"])
    (listed,) = (await client.get("/api/jails"))["jails"]
    assert (listed["failures"], listed["bans"], listed["dry_bans"]) == (1, 3, 3)


async def test_a_jail_that_a_reload_removes_meanwhile_is_no_error(client: Client) -> None:
    engine, state = client.one.engine, client.one.engine.jails["smtp"]

    async def toggled() -> None:
        for _ in range(50):
            engine.jails.pop("smtp", None)
            await asyncio.sleep(0)
            engine.jails["smtp"] = state
            await asyncio.sleep(0)

    toggling = asyncio.create_task(toggled())
    for _ in range(20):
        assert (await client.ask("GET", "/api/jails"))[0] == 200
        assert (await client.ask("GET", "/api/jails/smtp"))[0] in (200, 404)
    await toggling


async def test_hostile_text_arrives_as_it_is_and_ends_nothing(client: Client) -> None:
    hostile = "<script>alert(1)</script>\u202e\u2028\x00\x1b[2J\ud800" + "x" * 1000
    client.one.ban(ban(WHO, reason="r")._replace(evidence=(hostile.encode("utf-8", "replace").decode(),)))
    found = await client.get(f"/api/bans/{WHO}")
    assert found["bans"][0]["evidence"][0].startswith("<script>alert(1)</script>\u202e\u2028\x00\x1b[2J?")
