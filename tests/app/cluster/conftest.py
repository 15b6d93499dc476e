"""Two hosts in one process, for the tests that tell what happens between them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.app.cluster.local_redis import LocalRedis, local_redis
from tests.app.cluster.together import HOUR, HostHere, eventually, hasten, together

Story = Callable[[LocalRedis, HostHere, HostHere], Awaitable[None]]


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Story], None]:
    """Tells a story of two hosts that are connected, with clocks an hour apart."""
    hasten(monkeypatch)

    async def tell(story: Story, server: LocalRedis) -> None:
        async with together(tmp_path, server.port, {"mx1": 0.0, "mx2": HOUR}) as hosts:
            assert await eventually(lambda: all(host.member.up for host in hosts))
            await story(server, *hosts)

    def told(story: Story) -> None:
        with local_redis(tmp_path) as server:
            asyncio.run(tell(story, server))

    return told
