"""The evidence of bans that other hosts made: it stays there, and is asked for by `zmban explain`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from sidecar.app.persist.commit_queue import CommitQueue
from sidecar.model import Ban, Seconds
from sidecar.network import Network
from sidecar.threads import run_uncancellable

# Sends one record to a host, by channel (`ask` or `told`); False if there is no connection.
Send: TypeAlias = Callable[[str, str, list[Any]], Awaitable[bool]]
_PATIENCE: Seconds = 1.5
_MOST_LINES, _LONGEST = 20, 2000


class PeerEvidence:
    """Asks other hosts, and answers them. Questions and answers are signed like decisions. The member of the
    group sets `send`."""

    def __init__(self, commit_queue: CommitQueue) -> None:
        self._commit_queue = commit_queue
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[str, asyncio.Future[tuple[str, ...]]]] = {}
        self.send: Send | None = None

    async def of(self, ban: Ban) -> tuple[str, ...]:
        """The lines of a ban that another host made; none if it does not answer in time."""
        host = ban.by.rpartition("@")[2]
        if ban.origin != "cluster" or self.send is None or not host:
            return ()
        number = next(self._numbers)
        answer: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = host, answer
        try:
            async with asyncio.timeout(_PATIENCE):
                if await self.send("ask", host, [number, str(ban.network), ban.jail]):
                    return await answer
        except TimeoutError:
            pass
        finally:
            del self._waiting[number]
        return ()

    async def asked(self, host: str, record: list[Any]) -> None:
        """Answer the question of a host: the evidence of a ban that this host made."""
        try:
            number, text, jail = record
            network = Network.parse(text)
        except (ValueError, TypeError, AttributeError):
            return
        database = self._commit_queue.database
        found = await run_uncancellable(lambda: list(database.bans([(network, str(jail))])))
        lines = [line[:_LONGEST] for ban in found if ban.origin != "cluster" for line in ban.evidence]
        if self.send is not None:
            await self.send("told", host, [number, lines[-_MOST_LINES:]])

    def told(self, host: str, record: list[Any]) -> None:
        """Take the answer of the host that was asked."""
        number, lines = record if len(record) == 2 else (0, None)
        asked, answer = self._waiting.get(number if isinstance(number, int) else 0, ("", None))
        if answer is not None and asked == host and not answer.done() and _are_lines(lines):
            answer.set_result(tuple(line[:_LONGEST] for line in lines or ()))


def _are_lines(lines: Any) -> bool:
    few = isinstance(lines, list) and len(lines) <= _MOST_LINES
    return few and all(isinstance(line, str) for line in lines)
