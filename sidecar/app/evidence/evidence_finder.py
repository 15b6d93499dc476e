"""Finds the log lines of networks that were banned by hand, and stores them with their bans."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Annotated, Any

from pydantic import Field

from sidecar.app.evidence.log_search import Bounds, LogSearch, SearchResult
from sidecar.app.ingest.log_manager import LogManager
from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.bans.register import BanRegister
from sidecar.detect.grammar import Trust
from sidecar.model import Ban, Seconds
from sidecar.network import Network
from sidecar.serve.control import RefusedError
from sidecar.sources.kinds import kind_of
from sidecar.store.changes import EvidenceLines
from sidecar.threads import detached, run_uncancellable

MANUAL = "manual"
# More would get less than a line each.
Networks = Annotated[list[str], Field(max_length=1000)]
# How long a disk may take to answer, beside the time for the search.
_PATIENCE: Seconds = 20.0


class EvidenceFinder:
    """One search at a time, in a thread; the bans stand meanwhile."""

    def __init__(
        self,
        register: BanRegister,
        logs: LogManager,
        trust: Trust,
        commit_queue: CommitQueue,
        bounds: Bounds = Bounds(),  # noqa: B008 - frozen
    ) -> None:
        self._register, self._logs, self._trust = register, logs, trust
        self._commit_queue, self._bounds = commit_queue, bounds
        self._turn = asyncio.Lock()
        self._search: Future[SearchResult] | None = None

    async def find(self, networks: Networks) -> dict[str, Any]:
        """Store the lines about each network with its manual ban, unless it has lines already. Returns the
        number of lines per network (`found`), and how far the logs were searched."""
        wanted = dict.fromkeys(Network.parse(text) for text in networks)
        async with self._turn:
            bans = await self._without_lines(wanted)
            result = await self._searched([ban.network for ban in bans]) if bans else SearchResult()
            for ban in bans:
                if lines := result.lines[ban.network]:
                    self._commit_queue.add([EvidenceLines(ban.network, ban.jail, tuple(lines), ban.at)])
        if failed := await self._commit_queue.commit():
            raise RefusedError(f"the lines are not saved: {failed}", 69)
        return {
            "found": [
                {"network": str(network), "lines": len(lines)} for network, lines in result.lines.items()
            ],
            "files": result.files,
            "bytes": result.bytes,
            "seconds": round(result.seconds, 3),
            "stopped": result.stopped or None,
            "unread": result.unread,
        }

    async def _without_lines(self, networks: Iterable[Network]) -> list[Ban]:
        """The manual bans of these networks that have no lines."""
        table = self._register.table
        keys = [(network, MANUAL) for network in networks if table.of(network, MANUAL) is not None]
        if failed := await self._commit_queue.commit():
            raise RefusedError(f"lines cannot be saved: {failed}", 69)
        stored = await run_uncancellable(self._commit_queue.database.bans, keys)
        return [ban for ban in stored if not ban.evidence]

    async def _searched(self, networks: Sequence[Network]) -> SearchResult:
        if self._search is not None and not self._search.done():
            raise RefusedError("an earlier search waits for a disk that does not answer", 69)
        logs = [
            (path, log.scanner.log) for path, log in self._logs.logs.items() if kind_of(path).file is not None
        ]

        def search() -> SearchResult:
            # Here, because to compile a thousand literals takes long.
            return LogSearch(networks, self._trust, self._bounds).run(logs)

        self._search = detached(search)
        try:
            async with asyncio.timeout(self._bounds.seconds + _PATIENCE):
                return await asyncio.shield(asyncio.wrap_future(self._search))
        except TimeoutError:
            raise RefusedError("the logs cannot be searched: their disk does not answer", 69) from None
