"""Writes what this host decided into its stream, at once, and keeps the stream short."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sidecar.app.cluster.own_decisions import OwnDecisions
from sidecar.app.cluster.shared_time import SharedTime
from sidecar.cluster.batches import MOST_RECORDS, BatchFormat
from sidecar.cluster.claims import Claims
from sidecar.cluster.decision_records import BEFORE, Record
from sidecar.cluster.host_streams import HostStreams
from sidecar.cluster.hybrid_clock import Stamp

# The first record of a batch names the batch before.
_MOST_DECISIONS = MOST_RECORDS - 1
# A stream is written anew when it has so many records more than twice those that matter.
_SPARE = 20_000


def end_if_cancelled() -> None:
    """End this task if it was cancelled: the client may lose that while its connection breaks."""
    if (task := asyncio.current_task()) is not None and task.cancelling():
        raise asyncio.CancelledError


class StreamWriter:
    """One connection's writer. `length` is the number of records in the stream, `last` its last batch."""

    def __init__(
        self, streams: HostStreams, form: BatchFormat, own: OwnDecisions, claims: Claims, time: SharedTime,
        commit: Callable[[], Awaitable[object]],
    ) -> None:  # fmt: skip
        """`commit` is awaited before anything is told: a host must not lose what the others have of it."""
        self._streams, self._form, self._own = streams, form, own
        self._claims, self._time, self._commit = claims, time, commit
        self.length = 0
        self.last: Stamp | None = None

    async def run(self) -> None:
        """Send what is due until cancelled. Raises one of UNREACHABLE; what was not sent stays due."""
        if self.length == 0:
            await self._write_all(list(self._own.logins()))
        while True:
            end_if_cancelled()
            await self._own.wake.wait()
            some = self._own.take(_MOST_DECISIONS)
            try:
                await self._commit()
                await self._write_all(some)
            except BaseException:
                self._own.failed()
                raise
            if self.length > _SPARE + 2 * len(self._claims):
                await self.rewrite()

    async def _write_all(self, found: list[Record]) -> Stamp | None:
        """Returns the stamp of the first batch."""
        first = None
        for start in range(0, len(found), _MOST_DECISIONS):
            some = found[start : start + _MOST_DECISIONS]
            stamp = self._time.stamps.now()
            self._time.save()
            before: Record = [BEFORE, self.last.entry if self.last else ""]
            await self._streams.publish(stamp, self._form.written(stamp, self._time.now(), [before, *some]))
            self.last, first = stamp, first or stamp
            self.length += len(some)
        return first

    async def rewrite(self) -> None:
        """Write everything that matters behind the rest of the stream, then delete the rest."""
        self.length = 0
        everything = [record for _, record in self._own.everything()]
        first = await self._write_all([*everything, *self._own.logins()])
        await self._streams.forget_before(first or self._time.stamps.now())
