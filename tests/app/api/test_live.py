"""Live events: as they happen, resumed where a client was, and bounded for a client that does not read."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from sidecar.app.api import live_routes
from sidecar.model import Ban
from sidecar.network import Network
from sidecar.serve.web import stream
from tests.app.api.site import Client


def ban(number: int) -> Ban:
    return Ban(
        Network.parse(f"198.51.{number // 250}.{number % 250}"), "smtp", 1.0, None, "log", "why", 2, dry=True
    )


class Reader:
    """Reads server-sent events."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.last = ""

    async def next(self, *kinds: str) -> tuple[str, Any]:
        """The next event of these kinds, with its data."""
        async with asyncio.timeout(10):
            while True:
                lines = (await self._answer.content.readuntil(b"\n\n")).decode().splitlines()
                fields = dict(line.partition(": ")[::2] for line in lines)
                self.last = fields.get("id", self.last)
                if fields.get("event") in kinds:
                    return fields["event"], json.loads(fields["data"])


async def test_a_ban_arrives_when_it_happens(client: Client) -> None:
    async with client.http.get(client.url + "/api/events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        reader = Reader(answer)
        await reader.next("status")
        client.one.ban(ban(1))
        kind, record = await reader.next("ban", "reset", "dropped")
        assert (kind, record["network"], record["reason"], record["origin"]) == (
            "ban",
            "198.51.0.1/32",
            "why",
            "log",
        )
        await client.one.tell("unban", networks=["198.51.0.1"], by="alice")
        assert await reader.next("unban") == (
            "unban", {"at": pytest.approx(record["at"], abs=1e12), "network": "198.51.0.1/32", "jail": "smtp", "reason": "manual", "by": "alice"},
        )  # fmt: skip
        _, status = await reader.next("status")
        while not status["bans"]:
            _, status = await reader.next("status")
        assert (status["bans"], status["dry_run"]) == (1, True)


async def test_a_client_that_comes_again_gets_what_it_missed_once(client: Client) -> None:
    async with client.http.get(client.url + "/api/events") as answer:
        reader = Reader(answer)
        client.one.ban(ban(1))
        await reader.next("ban")
    client.one.ban(ban(2), ban(3))
    async with client.http.get(client.url + "/api/events", headers={"Last-Event-ID": reader.last}) as answer:
        again = Reader(answer)
        found = [(await again.next("ban", "reset"))[1]["network"] for _ in range(2)]
    assert found == ["198.51.0.2/32", "198.51.0.3/32"]


@pytest.mark.parametrize("last", ["1234-5", "x", "-", "9" * 60, "0-1"])
async def test_a_position_of_another_start_is_told_to_load_anew(client: Client, last: str) -> None:
    async with client.http.get(client.url + "/api/events", headers={"Last-Event-ID": last}) as answer:
        assert (await Reader(answer).next("reset", "ban"))[0] == "reset"


async def test_more_than_the_feed_holds_is_told_as_lost(client: Client) -> None:
    client.one.ban(ban(0))
    first = client.one.parts.feed.position
    client.one.ban(*map(ban, range(1, 3000)))
    async with client.http.get(client.url + "/api/events", headers={"Last-Event-ID": first}) as answer:
        assert (await Reader(answer).next("reset", "ban"))[0] == "reset"


async def test_who_reads_too_slowly_is_told_and_dropped(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_routes, "_GATHERED", 0.5)
    async with client.http.get(client.url + "/api/events") as answer:
        reader = Reader(answer)
        await reader.next("status")
        # While the server gathers, more happens than the feed holds.
        client.one.ban(*map(ban, range(10)))
        await asyncio.sleep(0.2)
        client.one.ban(*map(ban, range(10, 3000)))
        assert (await reader.next("dropped"))[0] == "dropped"
        assert await answer.content.read() == b""


async def test_who_does_not_read_at_all_is_disconnected(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_PATIENCE", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port, limit=1024)
    writer.write(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readline()
    long = "x" * 100_000
    for number in range(200):
        client.one.ban(ban(number)._replace(evidence=(long,)))
        await asyncio.sleep(0.01)
        if not client.site._server.connections:
            break
    async with asyncio.timeout(10):
        while client.site._server.connections:
            await asyncio.sleep(0.05)
    writer.close()


async def test_a_question_for_the_head_of_the_stream_ends(client: Client) -> None:
    async with client.http.head(client.url + "/api/events") as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_only_so_many_clients_follow_and_the_next_is_told(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_routes, "_MOST_CLIENTS", 2)
    async with (
        client.http.get(client.url + "/api/events") as one,
        client.http.get(client.url + "/api/events") as two,
    ):
        await Reader(one).next("status")
        await Reader(two).next("status")
        assert (await client.ask("GET", "/api/events"))[0] == 503
    # Who is gone makes room: a write fails at the next status.
    async with asyncio.timeout(20):
        while True:
            async with client.http.get(client.url + "/api/events") as three:
                if three.status == 200:
                    return
            await asyncio.sleep(0.2)
