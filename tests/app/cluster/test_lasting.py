"""What a host decided lasts: through its own crash, an empty Redis, and decisions of others about the same."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path
from typing import Any

import pytest

from sidecar.cluster.host_streams import HostStreams
from sidecar.cluster.hybrid_clock import Stamp
from sidecar.model import Ban
from sidecar.network import Network
from tests.app.cluster.local_redis import LocalRedis, local_redis
from tests.app.cluster.together import CLOSE, HOUR, HostHere, eventually, hasten, together

EVIL, OTHER = Network.parse("198.51.100.1"), Network.parse("203.0.113.2")


async def ask(host: HostHere, command: str, *, hours: float | None = None, **more: Any) -> None:
    assert host.here is not None
    if hours is not None:
        more["until"] = time.time() + host.wrong + hours * HOUR
    await host.within(host.here.tell(command, networks=[str(EVIL)], **more))


async def ban(host: HostHere, hours: float) -> None:
    await ask(host, "ban", hours=hours, reason="by hand", yes=True)


async def is_later(host: HostHere, other: HostHere) -> None:
    """Wait until what this host decides is later than what the other one did, by their own clocks.

    A host that is cut off knows the shared time only to some milliseconds.
    """
    last = other.member._time.stamps.highest.ms
    assert await eventually(lambda: host.call(host.member._time.now) * 1000 > last + 1)


async def has(host: HostHere, hours: float | None, of: str = "bans") -> bool:
    """Whether the ban, or the allowed network, comes to end so many hours from now; None: there is none."""
    key: Any = (EVIL, "manual") if of == "bans" else EVIL

    def is_so() -> bool:
        end = getattr(host, of)().get(key)
        return (
            end is None
            if hours is None
            else end is not None and abs(end - time.time() - hours * HOUR) < CLOSE
        )

    return await eventually(is_so, 5)


def test_a_host_lengthens_the_ban_of_another_one_on_all_of_them(two: Any) -> None:
    async def story(_: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        await ban(mx1, 1)
        assert await has(mx2, 1)
        await ban(mx2, 5)
        assert await has(mx1, 5)
        # It is still known as a decision of mx2 when both start anew without Redis' memory.
        await mx2.kill(commit=True)
        await mx2.start()
        assert mx2.claims.of(("b", EVIL, "manual")) is not None

    two(story)


def test_an_unban_and_a_shorter_ban_while_redis_is_away_are_both_told(two: Any) -> None:
    async def story(server: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        await ban(mx1, 9)
        assert await has(mx2, 9)
        server.kill()
        await ask(mx1, "unban")
        await ban(mx1, 2)
        server.start()
        assert await has(mx2, 2)
        assert await has(mx1, 2)

    two(story)


def test_a_longer_ban_behind_an_unban_elsewhere_stands_after_a_restart(two: Any) -> None:
    async def story(_: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        await ban(mx1, 1)
        assert await has(mx2, 1)
        mx1.wire.cut("in", "out")
        await ask(mx2, "unban")
        await is_later(mx1, mx2)
        await ban(mx1, 9)
        await mx1.kill(commit=True)
        mx1.wire.mend(drop=True)
        await mx1.start()
        assert await has(mx2, 9)
        assert await has(mx1, 9)

    two(story)


def test_an_unban_that_only_redis_remembers_is_told_when_redis_has_forgotten_it(two: Any) -> None:
    async def story(server: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        await ban(mx1, 1)
        assert await has(mx2, 1)
        stamp = mx1.claims.of(("b", EVIL, "manual"))
        mx2.wire.cut("in", "out")
        own = mx1.member._own
        mx1.call(own.lift, ("b", EVIL, "manual"), "")
        assert await eventually(lambda: len(own) == 0)
        # As a crash before the commit would leave it.
        mx1.parts.memos.drop("cluster-lifted", '["b", "198.51.100.1/32", "manual"]')
        await mx1.kill(commit=True)
        await mx1.start()
        assert await has(mx1, None)
        server.kill()
        server.start()
        mx2.wire.mend(drop=True)
        assert await has(mx2, None), stamp

    two(story)


def test_what_others_have_of_a_host_it_never_loses(two: Any) -> None:
    async def story(server: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        until = time.time() + HOUR
        mx1.call(mx1.here.ban, Ban(EVIL, "manual", time.time(), until, "manual"))  # type: ignore[union-attr]
        assert await has(mx2, 1)
        await mx1.kill(commit=False)
        server.kill()
        server.start()
        await mx1.start()
        assert await has(mx1, 1)

    two(story)


def test_the_last_end_of_an_allowed_network_counts_on_all_hosts(two: Any) -> None:
    async def story(_: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        await ask(mx1, "allow", hours=9, reason="a customer")
        assert await has(mx2, 9, "allowed")
        await ask(mx2, "allow", hours=2, reason="a customer")
        assert await has(mx1, 2, "allowed")
        assert await has(mx2, 2, "allowed")
        # Also behind a restart, and where another host had not seen the longer one.
        await mx2.kill(commit=True)
        await mx2.start()
        assert mx2.claims.of(("a", EVIL)) is not None
        mx1.wire.cut("in", "out")
        await ask(mx2, "allow", hours=8, reason="a customer")
        await ask(mx1, "allow", hours=5, reason="a customer")
        mx1.wire.mend(drop=True)
        assert await has(mx1, 8, "allowed")
        assert await has(mx2, 8, "allowed")

    two(story)


def test_a_ban_of_what_was_allowed_stands_when_it_is_no_longer(two: Any) -> None:
    async def story(_: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        mx1.wire.cut("in", "out")
        await ban(mx1, 3)
        await ask(mx2, "allow", hours=9, reason="a customer")
        mx1.wire.mend(drop=True)
        assert await has(mx1, 9, "allowed")
        assert await has(mx2, None)
        await ask(mx1, "disallow")
        assert await has(mx2, 3)
        assert await has(mx1, 3)

    two(story)


def test_each_of_several_bans_that_were_refused_is_made_when_its_network_is_no_longer_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasten(monkeypatch)

    async def story(server: LocalRedis) -> None:
        async with together(tmp_path, server.port, {"mx1": 0.0, "mx2": 0.0, "mx3": 0.0}) as (mx1, mx2, mx3):
            assert await eventually(lambda: all(host.member.up for host in (mx1, mx2, mx3)))
            mx1.wire.cut("in", "out")
            await ask(mx1, "allow", hours=9, reason="a customer")
            # The older ban was lifted; mx1 reads it last.
            await ban(mx3, 5)
            assert await has(mx2, 5)
            await ask(mx2, "unban")
            await ban(mx2, 2)
            assert await has(mx3, 2)
            mx1.wire.mend(drop=True)
            assert await has(mx2, 9, "allowed")
            await ask(mx1, "disallow")
            assert await has(mx1, 2)
            assert await has(mx2, 2)

    with local_redis(tmp_path) as server:
        asyncio.run(story(server))


def test_a_host_that_is_told_to_end_while_its_connection_breaks_ends(two: Any) -> None:
    async def story(_: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        async def breaks(*_: object) -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise ConnectionError("broken") from None

        mx1.member._count = breaks  # type: ignore[method-assign, assignment]
        mx1.wire.mend(drop=True)
        assert await eventually(lambda: not mx1.member.up) and await eventually(lambda: mx1.member.up)
        await mx1.kill(commit=True)
        assert mx1.here is None

    two(story)


def test_a_host_that_is_told_to_end_just_when_its_connection_broke_closes_all_its_sockets(two: Any) -> None:
    async def story(server: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        mx1.wire.mend(drop=True)
        while mx1.member.up:
            await asyncio.sleep(0)
        await mx1.kill(commit=True)
        gc.collect()

    two(story)


def test_a_clock_that_steps_while_the_host_is_connected_is_noticed(two: Any) -> None:
    async def story(_: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        mx1.step(-2 * HOUR)
        assert await eventually(lambda: abs(mx1.member._time._offset - 2 * HOUR) < 1, 5)
        await ban(mx1, 3)
        assert await has(mx2, 3)

    two(story)


def test_a_batch_that_follows_the_last_one_is_applied_as_it_arrives_and_a_lost_one_is_read(
    two: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, asked = HostStreams.read, []

    def counted(self: HostStreams, host: str, after: Stamp | None) -> Any:
        asked.append(host)
        return read(self, host, after)

    async def story(_: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        await ban(mx1, 1)
        assert await has(mx2, 1)
        monkeypatch.setattr(HostStreams, "read", counted)
        for hours in (2, 3, 4):
            await ban(mx1, hours)
            assert await has(mx2, hours)
        assert asked == []
        # As if one had been lost on its way.
        for peer in mx2.member.peers:
            peer.last = None
        await ban(mx1, 5)
        assert await has(mx2, 5)
        assert asked == ["mx1"]

    two(story)
