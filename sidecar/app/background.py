"""Work in a thread that must not be left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from sidecar.sources.files.disk import detached

P = ParamSpec("P")
T = TypeVar("T")


async def run_detached(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run it in a thread that nobody waits for when the service stops: it only asks, and may ask for long."""
    return await asyncio.wrap_future(detached(function, *args, **kwargs))


async def run_uncancellable(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run it in a thread. A cancellation waits for its end, for the thread cannot be stopped: what it
    works with, a connection or a socket, must not be closed under it."""
    task = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def until_cancelled(then: Callable[[], None]) -> None:
    """Wait, and do this as soon as that is over."""
    try:
        await asyncio.Event().wait()
    finally:
        then()
