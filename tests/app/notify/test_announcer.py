"""Which events become a message, and which do not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from sidecar.app.enforce.enforcement_status import EnforcementStatus
from sidecar.app.notify.announcer import Announcer
from sidecar.model import Ban, Batch, Event, Match, Refused
from sidecar.network import Network
from tests.app.notify.telling import Telling, telling
from tests.delivery.servers import hook
from tests.netns import Namespace

WHO, WIDE = Network.parse("203.0.113.7"), Network.parse("203.0.113.0/24")
NOBODY = 'webhooks = ["http://127.0.0.1:9/"]\n'


async def messages(one: Telling) -> list[tuple[str, int, tuple[str, ...]]]:
    """What waits now: event, number, lines."""
    await one.courier._renew()
    await one.announcer.collect()
    return [(m.event, m.number, m.lines) for m in one.queue._messages.values()]


def ban(network: Network = WHO, **more: Any) -> Ban:
    return Ban(network, "smtp", time.time(), None, "log", "2 failures", **more)


async def test_a_wide_ban_is_told_and_one_of_a_client_is_not(tmp_path: Path) -> None:
    async with telling(tmp_path, NOBODY) as one:
        one.one.bus.publish([ban(), ban(Network.parse("2001:db8::/64"))])
        assert await messages(one) == []
        one.one.bus.publish([ban(WIDE), ban(Network.parse("2001:db8::/48"), dry=True)])
        ((event, number, lines),) = await messages(one)
        assert (event, number) == ("wide-ban", 2)
        assert lines == (
            "[smtp] Ban 203.0.113.0/24 (256 addresses): 2 failures",
            "[smtp] Would ban 2001:db8::/48: 2 failures",
        )


async def test_the_ban_of_a_client_that_logged_in_is_told_also_in_a_wide_ban(tmp_path: Path) -> None:
    async with telling(tmp_path, NOBODY) as one:
        logins = one.one.parts.memory.known_good.clients
        logins.login(WHO, "bob@example.com", time.time())
        logins.login(Network.parse("203.0.113.8"), "old@example.com", time.time() - 40 * 86400)
        # As the engine does before the ban is told.
        logins.spoil(WHO, time.time() + 1000)
        one.one.bus.publish([ban(), ban(WIDE)])
        found = {event: (number, lines) for event, number, lines in await messages(one)}
        assert found["known-good-ban"] == (
            2,
            (
                "[smtp] Ban 203.0.113.7 (recent logins: 1 account): 2 failures",
                "[smtp] Ban 203.0.113.0/24 (recent logins: 1 network inside): 2 failures",
            ),
        )
        assert "recent logins from 1 network inside" in found["wide-ban"][1][0]


async def test_an_address_of_a_64_with_a_login_is_known_good(tmp_path: Path) -> None:
    async with telling(tmp_path, NOBODY) as one:
        address = Network.parse("2001:db8::7")
        one.one.parts.memory.known_good.clients.login(address.unit(), "bob@example.com", time.time())
        one.one.bus.publish([ban(address)])
        ((event, _, lines),) = await messages(one)
        assert event == "known-good-ban" and "2001:db8::7 (recent logins: 1 account)" in lines[0]


async def test_a_real_ban_of_a_known_good_client_is_told(host: Namespace, tmp_path: Path) -> None:
    async with telling(tmp_path, NOBODY, dry_run=False) as one:
        engine, now = one.one.engine, time.time()
        engine.known_good.learn(WHO, "bob@example.com", now)
        for _ in range(2):
            one.one.bus.publish(engine.decide(Match("smtp", WHO.address, now, "line"), now, now))
        assert one.one.table.of(WHO, "smtp") and not engine.known_good.clients.is_known(WHO, now)
        assert [event for event, _, _ in await messages(one)] == ["known-good-ban"]


async def test_the_brake_is_told_and_no_other_refusal(tmp_path: Path) -> None:
    async with telling(tmp_path, NOBODY) as one:
        refusals: list[Event] = [
            Refused("203.0.113.7", "smtp", 1.0, reason)
            for reason in ("ignored", "known-good", "framed", "brake")
        ]
        one.one.bus.publish(refusals)
        ((event, number, lines),) = await messages(one)
        assert (event, number) == ("brake", 1) and lines[0].startswith("[smtp] 203.0.113.7 is not banned")


async def test_each_proxy_that_hides_clients_is_told_once_also_after_a_restart(tmp_path: Path) -> None:
    async with telling(tmp_path, NOBODY) as one:
        hidden: list[Event] = [Refused("", "smtp", 1.0, "masked", "10.0.0.9")]
        one.one.bus.publish(hidden * 3)
        one.one.bus.publish([Refused("", "smtp", 1.0, "gateway", "172.17.0.1")])
        ((event, number, lines),) = await messages(one)
        assert (event, number) == ("masked", 2) and lines[0].startswith("10.0.0.9 hides clients: ")
        one.one.bus.publish(hidden)
        assert len(await messages(one)) == 1
        memos = one.one.parts.memos
        assert set(memos.of("told")) == {"masked 10.0.0.9", "masked 172.17.0.1"}
        again = Announcer(
            one.one.parts.active, one.one.parts.memory.known_good.clients, memos, one.queue, tuple, tuple
        )
        assert again._told_proxies == {"masked 10.0.0.9", "masked 172.17.0.1"}
        in_a_month = time.time() + 31 * 86400
        assert list(again._lately_told(in_a_month)) == [] and memos.of("told") == {}


async def test_that_bans_are_not_enforced_is_told_when_it_begins_and_when_it_ends(
    host: Namespace, tmp_path: Path
) -> None:
    async with telling(tmp_path, NOBODY, dry_run=False) as one:
        verifier = one.one.verifier
        assert await messages(one) == [], "not verified yet"
        await verifier.verify()
        assert await messages(one) == [], "enforced, as before"
        for missing in (("the rule is missing",), ("another",), (), ()):
            verifier.status = EnforcementStatus(missing)
            found = await messages(one)
        ((event, number, lines),) = found
        assert (event, number, lines) == (
            "not-enforced",
            2,
            ("not enforced: the rule is missing", "enforced again"),
        )


async def test_a_dry_run_is_no_news(tmp_path: Path) -> None:
    async with telling(tmp_path, NOBODY) as one:
        await one.one.verifier.verify()
        assert one.one.verifier.status.missing
        assert await messages(one) == []


async def test_the_bans_of_an_hour_are_told_when_it_is_over_if_there_were_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = [1_000_000.0 * 3600]
    monkeypatch.setattr(time, "time", lambda: hour[0])
    async with telling(tmp_path, NOBODY + 'events = ["digest"]\n') as one:
        one.one.bus.publish(
            [ban(), ban(Network.parse("203.0.113.8")), ban(Network.parse("2001:db8::/64"), dry=True)]
        )
        assert await messages(one) == []
        await one.announcer.finish()
        assert set(one.one.parts.memos.of("digest")) == {"hour"}
        hour[0] += 3601
        ((event, number, lines),) = await messages(one)
        assert (event, number) == ("digest", 1)
        assert lines == (
            "[smtp] 2 bans", "[smtp] 1 dry-run ban", "203.0.113.0/24: 2 bans", "2001:db8::/48: 1 ban",
        )  # fmt: skip
        hour[0] += 3601
        assert len(await messages(one)) == 1, "an hour without bans"


async def test_only_chosen_events_are_told_and_without_a_target_none_is_noted(tmp_path: Path) -> None:
    async with telling(tmp_path, 'events = ["brake"]\n' + NOBODY) as one:
        one.one.bus.publish([ban(WIDE)])
        assert await messages(one) == []
        await one.reload('events = ["wide-ban"]\n')
        one.one.bus.publish([ban(WIDE)])
        assert not one.announcer._noted.numbers and await messages(one) == []


async def test_events_before_the_targets_are_read_are_told_too(tmp_path: Path) -> None:
    async with telling(tmp_path, NOBODY) as one:
        one.one.bus.publish([ban(WIDE)])
        await one.announcer.collect()
        assert len(one.queue) == 0
        assert len(await messages(one)) == 1


async def test_of_a_flood_the_first_are_worded_and_all_counted(tmp_path: Path) -> None:
    async with telling(tmp_path, NOBODY) as one:
        one.announcer.handle(Batch([ban(WIDE)] * 50_000))
        ((event, number, lines),) = await messages(one)
        assert (event, number, len(lines)) == ("wide-ban", 50_000, 20)


async def test_bans_restored_from_a_damaged_database_are_not_told_again(tmp_path: Path) -> None:
    async with telling(tmp_path, NOBODY) as one:
        one.one.bus.publish([ban(WIDE)], restored=True)
        assert await messages(one) == []


async def test_an_error_in_what_is_told_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with telling(tmp_path, NOBODY) as one:
        monkeypatch.setattr(one.queue, "add", lambda _message: 1 / 0)
        one.one.bus.publish([ban(WIDE)])
        await messages(one)
        assert "events could not be told" in caplog.text


async def test_events_of_a_kind_within_a_minute_are_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [2_000_000_000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    with hook() as target:
        async with telling(tmp_path, f'webhooks = ["{target.url()}"]\n') as one:
            for _ in range(3):
                one.one.bus.publish([ban(WIDE)])
                await one.told()
                clock[0] += 19
            assert target.bodies == []
            clock[0] += 4
            await one.told()
            one.one.bus.publish([ban(WIDE)])
            await one.told()
            assert [body["number"] for body in target.bodies] == [3]
            clock[0] += 61
            await one.told()
            assert [body["number"] for body in target.bodies] == [3, 1]
