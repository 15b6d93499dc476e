"""A command is answered when the kernel and the database have what it did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from sidecar.app.background import BackgroundTasks
from sidecar.app.commands.confirmation import Confirmation
from sidecar.serve.control import RefusedError


class Queue:
    """A commit queue that answers as it is told to."""

    def __init__(self, answer: str | None, done: list[str]) -> None:
        self._answer, self._done = answer, done

    async def commit(self) -> str | None:
        self._done.append("committed")
        return self._answer


def made(answer: str | None) -> tuple[Callable[[], Confirmation], BackgroundTasks, list[str]]:
    done, background = list[str](), BackgroundTasks()
    return lambda: Confirmation(Queue(answer, done), background), background, done  # type: ignore[arg-type]


async def test_what_goes_on_beside_is_waited_for_and_then_committed() -> None:
    make, background, done = made(None)

    async def reconcile() -> None:
        await asyncio.sleep(0.01)
        done.append("reconciled")

    background.spawn(reconcile())
    await make().written()
    assert done == ["reconciled", "committed"]


async def test_what_cannot_be_written_is_told_and_is_a_failure_for_now() -> None:
    make, _, _ = made("the disk is full")
    with pytest.raises(RefusedError, match="done, but not saved: the disk is full") as raised:
        await make().written()
    assert raised.value.exit_code == 69
