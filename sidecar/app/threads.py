"""Work in a thread that must not be left half done."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def beside(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run it in a thread that nobody waits for when the service stops: it only asks, and may ask for long."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def tell(act: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone
            loop.call_soon_threadsafe(lambda: None if answer.done() else act())

    def work() -> None:
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            tell(partial(answer.set_exception, error))
        else:
            tell(partial(answer.set_result, result))

    threading.Thread(target=work, daemon=True).start()
    return await answer


async def to_the_end(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run it in a thread. A cancellation waits for its end, for the thread cannot be stopped: what it
    works with, a connection or a socket, must not be closed under it."""
    task = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
