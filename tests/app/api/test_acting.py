"""Acting over HTTP: only who is signed in, never for another site, and with the name of who did it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sidecar.serve.web.sign_in.gate import COOKIE
from tests.app.api.site import TOKEN, Client, served
from tests.app.running import in_process
from tests.netns import Namespace

WHO = "203.0.113.7/32"
BAN = {"networks": [WHO], "reason": "x"}


async def test_a_ban_by_a_session_names_the_token(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "zmban.bans")
    await client.sign_in()
    status, found = await client.ask("POST", "/api/ban", BAN)
    assert (status, found["answers"][0]["result"]) == (200, "banned")
    assert [(ban.by, ban.origin) for ban in client.one.commit_queue.database.bans()] == [("alice", "manual")]
    assert "x, by alice" in caplog.records[-1].__dict__["second_line"]
    assert (await client.get(f"/api/bans/{WHO}"))["bans"][0]["by"] == "alice"
    status, found = await client.ask("POST", "/api/unban", {"networks": [WHO]})
    assert (status, found["answers"][0]["result"]) == (200, "unbanned")


async def test_a_token_in_the_request_acts_without_a_session(client: Client) -> None:
    status, _ = await client.ask("POST", "/api/ban", BAN, Authorization=f"Bearer {TOKEN}", X_Zmban_CSRF="")
    assert status == 200
    assert [ban.by for ban in client.one.commit_queue.database.bans()] == ["alice"]


async def test_who_acts_cannot_be_given_by_the_client(client: Client) -> None:
    await client.sign_in()
    assert (await client.ask("POST", "/api/ban", {**BAN, "by": "root"}))[0] == 400


async def test_what_must_be_confirmed_is_refused_with_what_it_covers_until_it_is(client: Client) -> None:
    await client.sign_in()
    wide = {"networks": ["203.0.112.0/22"], "reason": "x"}
    preview = await client.get("/api/preview?network=203.0.112.0/22")
    assert (preview["confirm"], preview["refused"], preview["covers"]["addresses"]) == (True, None, 1024)
    _, found = await client.ask("POST", "/api/ban", wide)
    assert found["answers"][0]["reason"] == "needs-confirmation"
    _, found = await client.ask("POST", "/api/ban", {**wide, "yes": True})
    assert found["answers"][0]["result"] == "banned"
    # Nobody bans over HTTP what is wider than the limit of the configuration.
    _, found = await client.ask("POST", "/api/ban", {"networks": ["203.0.0.0/8"], "reason": "x", "yes": True})
    assert found["answers"][0]["result"] == "refused"


async def test_a_jail_is_switched_to_a_dry_run_and_back(host: Namespace, tmp_path: Path) -> None:
    async with in_process(tmp_path) as one, served(one) as client:
        await client.sign_in()
        path = "/api/jails/smtp/dry_run"
        for wanted, expected in ((True, (True, True)), (False, (False, False)), (None, (False, None))):
            status, found = await client.ask("POST", path, {"dry_run": wanted})
            assert (status, found["dry_run"], found["switched"]) == (200, *expected)
            jail = await client.get("/api/jails/smtp")
            assert (jail["dry_run"], jail["switched"]) == expected
        status, found = await client.ask("POST", "/api/jails/none/dry_run", {"dry_run": True})
        assert (status, "no jail none" in found["error"]) == (409, True)
        assert (await client.ask("POST", path, {}))[0] == 400


async def test_a_dry_run_of_the_whole_service_cannot_be_switched_off(client: Client) -> None:
    await client.sign_in()
    assert (await client.ask("POST", "/api/jails/smtp/dry_run", {"dry_run": False}))[0] == 409


async def test_an_end_in_the_past_is_refused_and_nothing_is_done(client: Client) -> None:
    await client.sign_in()
    for path in ("/api/ban", "/api/allow"):
        status, found = await client.ask("POST", path, {**BAN, "until": 1.0})
        assert (status, "is in the past" in found["error"]) == (400, True)
    assert list(client.one.table) == []


async def test_nobody_acts_without_signing_in(client: Client) -> None:
    for path in ("/api/ban", "/api/unban", "/api/allow", "/api/disallow"):
        status, found = await client.ask("POST", path, BAN)
        assert (status, found) == (401, {"error": "sign in with a token"})
    assert list(client.one.table) == []


async def test_a_session_acts_only_with_its_csrf_token(client: Client) -> None:
    await client.sign_in()
    for wrong in ("", "-", client.csrf[:-1], client.csrf + "x"):
        assert (await client.ask("POST", "/api/ban", BAN, X_Zmban_CSRF=wrong))[0] == 403
    assert list(client.one.table) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}, {"Origin": ""},
        {"Origin": "http://localhost.evil.example"}, {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"},
        {"Host": "evil.example"}, {"Host": "evil.example", "Origin": "http://evil.example"},
    ],
)  # fmt: skip
async def test_another_site_neither_acts_nor_reads(client: Client, headers: dict[str, str]) -> None:
    await client.sign_in()
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert (await client.ask("POST", "/api/ban", BAN, **headers))[0] == 403
    assert (await client.ask("POST", "/api/ban", BAN, **headers, **bearer))[0] == 403
    assert (await client.ask("POST", "/api/session", {"token": TOKEN}, **headers))[0] == 403
    assert (await client.ask("GET", "/api/bans", **headers))[0] == 403
    assert list(client.one.table) == []


async def test_the_own_page_is_no_other_site(client: Client) -> None:
    async with client.http.post(client.url + "/api/session", json={"token": TOKEN}) as answer:
        client.csrf, cookies = (await answer.json())["csrf"], {COOKIE: answer.cookies[COOKIE].value}
    headers = {"Origin": client.url, "Sec_Fetch_Site": "same-origin"}
    assert (await client.ask("POST", "/api/ban", BAN, **headers))[0] == 200
    by_name = {"Host": "zmban.example.com", "Origin": "https://zmban.example.com"}
    async with client.http.post(
        f"{client.url}/api/unban", json={"networks": [WHO]}, cookies=cookies,
        headers={"X-Zmban-CSRF": client.csrf, **by_name},
    ) as answer:  # fmt: skip
        assert answer.status == 200


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(client: Client) -> None:
    async with client.http.post(f"{client.url}/api/session", json={"token": TOKEN}) as answer:
        cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert TOKEN not in cookie
    proxied = {"X-Forwarded-Proto": "https"}
    async with client.http.post(
        f"{client.url}/api/session", json={"token": TOKEN}, headers=proxied
    ) as answer:
        assert "Secure" in answer.headers["Set-Cookie"]


async def test_signing_out_ends_the_session(client: Client) -> None:
    await client.sign_in()
    assert (await client.get("/api/session"))["name"] == "alice"
    assert (await client.ask("DELETE", "/api/session"))[0] == 204
    assert (await client.get("/api/session")) == {
        "name": None,
        "can_act": False,
        "tokens": True,
        "csrf": None,
    }
    assert (await client.ask("POST", "/api/ban", BAN))[0] == 401


async def test_wrong_tokens_are_counted_and_the_right_one_waits_too(client: Client) -> None:
    for number in range(5):
        assert (await client.ask("POST", "/api/session", {"token": f"wrong-{number}"}))[0] == 401
    async with client.http.post(f"{client.url}/api/session", json={"token": TOKEN}) as answer:
        assert answer.status == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 61
    assert (await client.ask("POST", "/api/ban", BAN, Authorization="Bearer wrong"))[0] == 429


async def test_a_token_that_is_removed_from_the_file_ends_its_sessions(client: Client) -> None:
    await client.sign_in()
    tokens = client.site._gate.tokens
    assert tokens is not None
    tokens._path.write_text(f"bob:{TOKEN[::-1]}\n", encoding="utf-8")
    tokens._looked = float("-inf")
    assert (await client.ask("POST", "/api/ban", BAN))[0] == 401
    await client.sign_in(TOKEN[::-1])
    assert (await client.get("/api/session"))["name"] == "bob"


async def test_without_tokens_the_page_only_reads(tmp_path: Path) -> None:
    async with in_process(tmp_path, dry_run=True) as one, served(one, None) as client:
        assert (await client.get("/api/session"))["tokens"] is False
        assert (await client.get("/api/bans"))["total"] == 0
        for path, body in (("/api/ban", BAN), ("/api/session", {"token": TOKEN})):
            status, found = await client.ask("POST", path, body)
            assert status in (401, 403)
            assert "ZMBAN_TOKEN_FILE" in found["error"]


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
async def test_who_comes_through_a_proxy_reads_only_when_signed_in(client: Client, header: str) -> None:
    headers = {header: "198.51.100.9"}
    for path in ("/api/bans", "/api/status", "/api/events", "/api/jails", "/api/explain?address=1.2.3.4"):
        async with client.http.get(client.url + path, headers=headers) as answer:
            assert answer.status == 401, path
    # The page itself holds no data, and lets one sign in.
    async with client.http.get(client.url + "/", headers=headers) as answer:
        assert answer.status == 200
    await client.sign_in()
    async with client.http.get(client.url + "/api/bans", headers=headers) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b"{", b"\xff", b"[" * 100_000, b'{"networks": 5}', b'{"networks": []}']
)
async def test_a_body_that_is_no_request_is_one_sentence(client: Client, body: bytes) -> None:
    await client.sign_in()
    headers = {"X-Zmban-CSRF": client.csrf, "Content-Type": "application/json"}
    async with client.http.post(client.url + "/api/ban", data=body, headers=headers) as answer:
        found: Any = await answer.json()
        assert answer.status == 400
    assert set(found) == {"error"}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        headers["Content-Type"] = kind
        async with client.http.post(client.url + "/api/ban", data=b"x", headers=headers) as answer:
            assert answer.status == 415


@pytest.mark.parametrize("text", ["\\ud800", "a\\udfffb"])
async def test_what_is_no_text_is_refused_and_saving_goes_on(client: Client, text: str) -> None:
    await client.sign_in()
    headers = {"X-Zmban-CSRF": client.csrf, "Content-Type": "application/json"}
    for given in (
        {"networks": [WHO], "reason": "x", "evidence": ["TEXT"]},
        {"networks": ["TEXT"], "reason": "x"},
    ):
        body = json.dumps(given).replace("TEXT", text)
        async with client.http.post(client.url + "/api/ban", data=body, headers=headers) as answer:
            assert answer.status == 400
    with pytest.raises(ValueError, match="lone surrogate"):
        await client.one.tell("ban", networks=[WHO], reason="x", evidence=["\ud800"])
    assert (await client.ask("POST", "/api/ban", BAN))[0] == 200
    assert await client.one.commit_queue.commit() is None


async def test_many_networks_are_allowed_and_disallowed_in_turns(client: Client) -> None:
    await client.sign_in()
    many = [f"198.51.{n // 250}.{n % 250}" for n in range(2000)] + ["203.0.113.0/24"]
    status, found = await client.ask("POST", "/api/allow", {"networks": many, "reason": "x"})
    assert (status, len(found["answers"])) == (200, len(many))
    status, found = await client.ask("POST", "/api/disallow", {"networks": many})
    assert {answer["result"] for answer in found["answers"]} == {"disallowed"}
    assert list(client.one.parts.allow_list) == []


async def test_a_body_that_is_too_long_is_refused_before_it_is_read(client: Client) -> None:
    await client.sign_in()
    headers = {
        "X-Zmban-CSRF": client.csrf,
        "Content-Type": "application/json",
        "Content-Length": str(100 << 20),
    }
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    cookie = next(iter(client.http.cookie_jar)).value
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(
        f"POST /api/ban HTTP/1.1\r\nHost: localhost\r\nCookie: {COOKIE}={cookie}\r\n{head}\r\n".encode()
    )
    assert b" 413 " in await reader.readline()
    writer.close()


async def test_a_body_without_a_length_is_read_up_to_its_limit(client: Client) -> None:
    await client.sign_in()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b" " * 65536

    headers = {"X-Zmban-CSRF": client.csrf, "Content-Type": "application/json"}
    with contextlib.suppress(aiohttp.ClientConnectionError):
        async with client.http.post(client.url + "/api/ban", data=endless(), headers=headers) as answer:
            assert answer.status == 413
    assert list(client.one.table) == []
