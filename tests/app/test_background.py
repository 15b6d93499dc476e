"""Background tasks: spawned centrally, and awaited at shutdown."""

from __future__ import annotations

import asyncio
import gc

from sidecar.app.background import BackgroundTasks


async def test_settled_waits_for_everything_that_was_spawned_and_for_what_that_spawned() -> None:
    background, done = BackgroundTasks(), list[str]()

    async def outer() -> None:
        await asyncio.sleep(0.01)
        background.spawn(inner())
        done.append("outer")

    async def inner() -> None:
        await asyncio.sleep(0.01)
        done.append("inner")

    background.spawn(outer())
    await background.settled()
    assert done == ["outer", "inner"]


async def test_settled_returns_at_once_where_nothing_runs() -> None:
    async with asyncio.timeout(1):
        await BackgroundTasks().settled()


async def test_work_that_fails_keeps_nobody_waiting_and_is_reported() -> None:
    background, reported = BackgroundTasks(), list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(str(context)))

    async def wrong() -> None:
        raise ValueError("a fault of the program")

    background.spawn(wrong())
    await background.settled()
    await asyncio.sleep(0)
    assert background._tasks == set()
    gc.collect()
    assert "a fault of the program" in "".join(reported)
