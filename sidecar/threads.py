"""Runs functions in threads: detached, so that shutdown does not wait for them, or uncancellable, so that
they are always completed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def detached(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Run a function in its own daemon thread. Neither the event loop nor shutdown waits for it: Docker kills
    a service 10 s after the stop signal, and reading one compressed log can take six of them."""
    answer: Future[T] = Future()

    def work() -> None:
        if answer.set_running_or_notify_cancel():
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                answer.set_exception(error)
            else:
                answer.set_result(result)

    threading.Thread(target=work, daemon=True).start()
    return answer


async def run_detached(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that only reads in a daemon thread. A cancellation does not wait for its end."""
    return await asyncio.wrap_future(detached(function, *args, **kwargs))


async def run_uncancellable(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function in a thread. A cancellation waits for its end: a thread cannot be stopped, and the
    connection or socket it works with must not be closed meanwhile."""
    return await completed(asyncio.to_thread(function, *args, **kwargs))


async def completed(work: Coroutine[Any, Any, T], stop: Callable[[], None] = lambda: None) -> T:
    """Await a coroutine. A cancellation calls `stop`, which may end it early, and waits for its end."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop()
        await asyncio.wait([task])
        raise
