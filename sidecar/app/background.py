"""Short background tasks that shutdown waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class BackgroundTasks:
    """Spawns short tasks. asyncio logs their exceptions."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start a task."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def running(self) -> int:
        """The number of tasks that are not done."""
        return len(self._tasks)

    async def settled(self) -> None:
        """Wait until all spawned tasks are done, and the tasks that these spawned."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))
