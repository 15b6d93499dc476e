"""Delays the answer to a command until kernel and database have its changes."""

from __future__ import annotations

from sidecar.app.background import BackgroundTasks
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.serve.control import RefusedError


class Confirmation:
    """Waits until published changes are enforced and committed."""

    def __init__(self, commit_queue: CommitQueue, background: BackgroundTasks) -> None:
        self._commit_queue, self._background = commit_queue, background

    async def written(self) -> None:
        """Wait for the commit. RefusedError if it fails."""
        await self._background.settled()
        if failed := await self._commit_queue.commit():
            raise RefusedError(f"done, but not saved: {failed}", 69)
