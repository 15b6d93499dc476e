"""A service in this process with [notify], whose courier and announcer the test calls."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from sidecar.app.notify.courier import Courier
from tests.app.running import InProcess, in_process

EVERYTHING = '["wide-ban", "known-good-ban", "brake", "not-enforced", "masked", "digest"]'


class Telling:
    """The service, and its courier. A message is due as soon as it is collected."""

    def __init__(self, one: InProcess, root: Path) -> None:
        self.one, self.root, self.queue, self.announcer = one, root, one.parts.messages, one.parts.announcer
        self.courier = Courier(one.parts.active, self.queue, one.metrics)

    async def told(self) -> None:
        """Read the targets, collect events, begin to send, and wait for what was begun."""
        await self.courier.look()
        await self.announcer.collect()
        await self.courier.look()
        for target in self.courier._targets.values():
            if target.task is not None:
                await target.task

    async def reload(self, settings: str) -> None:
        """Put other settings in force."""
        written(self.root, settings)
        assert (await self.one.parts.reload.reload())["result"] == "reloaded"

    def at_once(self) -> None:
        """Let every target that failed be tried again now."""
        for target in self.courier._targets.values():
            target.next_try = 0.0

    def count(self, result: str, target: str = "webhook") -> float:
        return self.one.metric("notifications_total", target=target, result=result)


def written(root: Path, settings: str) -> None:
    (root / "config").mkdir(exist_ok=True)
    text = settings if "events" in settings else f"events = {EVERYTHING}\n{settings}"
    (root / "config/zmban.toml").write_text(f"[notify]\n{text}", encoding="utf-8")


@contextlib.asynccontextmanager
async def telling(root: Path, settings: str, *, dry_run: bool = True) -> AsyncIterator[Telling]:
    written(root, settings)
    async with in_process(root, dry_run=dry_run) as one:
        found = Telling(one, root)
        try:
            yield found
        finally:
            found.courier.stop()
