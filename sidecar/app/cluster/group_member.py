"""The connection to the group: tells what this host decided, hears what the others decide.

Nothing of this host waits for it. While Redis is away, everything goes on as on a single host.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

from sidecar import __version__
from sidecar.app.background import BackgroundTasks
from sidecar.app.cluster.joint_counting import JointCounting
from sidecar.app.cluster.own_decisions import OwnDecisions
from sidecar.app.cluster.peers.peer import AWAY, Peers
from sidecar.app.cluster.peers.peer_decisions import PeerDecisions
from sidecar.app.cluster.peers.stream_reader import StreamReader
from sidecar.app.cluster.setup import host_name, membership
from sidecar.app.cluster.shared_time import SharedTime
from sidecar.app.cluster.stream_writer import StreamWriter, end_if_cancelled
from sidecar.app.evidence.peer_evidence import PeerEvidence
from sidecar.cluster import decision_records as records
from sidecar.cluster.batches import BatchFormat
from sidecar.cluster.claims import Claims
from sidecar.cluster.host_keys import Signer
from sidecar.cluster.host_streams import Client, HostStreams
from sidecar.cluster.hybrid_clock import NEVER
from sidecar.cluster.redis_place import UNREACHABLE, connected
from sidecar.cluster.shared_windows import SharedWindows
from sidecar.model import ConfigError, Seconds, counted
from sidecar.settings import ClusterSettings
from sidecar.threads import run_detached

_log = logging.getLogger("zmban.cluster")
_PAUSES: tuple[Seconds, Seconds] = (0.5, 10.0)
# A host is heard of each second; in large groups less often, since each tells all others.
_BEAT: Seconds = 1.0
# Questions and answers that are older were sent again by somebody.
_STALE: Seconds = 30.0
_HOSTS_A_BEAT = 10


class GroupMember:
    """`up` says whether this host is connected, `failing` why not."""

    def __init__(
        self, settings: Callable[[], ClusterSettings], shared_time: SharedTime, claims: Claims,
        own: OwnDecisions, decisions: PeerDecisions, counting: JointCounting,
        peers: Peers, evidence: PeerEvidence, background: BackgroundTasks,
        commit: Callable[[], Awaitable[object]],
    ) -> None:  # fmt: skip
        self._settings, self._time, self._claims, self._commit = settings, shared_time, claims, commit
        self._evidence, self._background = evidence, background
        evidence.send = self._send
        self._own, self._decisions, self._counting = own, decisions, counting
        self.peers, self._host = peers, host_name(settings())
        self._used = settings()
        self.up, self.failing, self._left = False, "not connected yet", False
        self._pause = _PAUSES[0]
        self._streams: HostStreams | None = None

    async def run(self) -> Seconds:
        """Be a member until the connection breaks. Returns the pause before the next attempt. The settings
        and their files are read each time. A periodic job."""
        if self._left:
            self.failing = "left the group; a restart joins it again"
            return _PAUSES[1]
        self._used = self._settings()
        try:
            member = await run_detached(membership, self._used)
            client = connected(member.place, member.access)
        except ConfigError as error:
            self._lost(error)
            return _PAUSES[1]
        self.peers.renew(self._used, member.signer.knows)
        self._format = BatchFormat(member.group, self._host, member.signer)
        try:
            self._streams = HostStreams(client, member.group, self._host)
            await self._take_part(self._streams, member.signer)
        except* UNREACHABLE as group:
            self._lost(group)
        finally:
            self.up, self._streams = False, None
            # Not here: a task that is cancelled meanwhile would leave the sockets open.
            self._background.spawn(_close(client))
        # A task group whose connection breaks while it is cancelled tells only of the connection.
        end_if_cancelled()
        self._pause = min(self._pause * 2, _PAUSES[1])
        return self._pause

    def _lost(self, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        text = str(error).strip().partition("\n")[0] or type(error).__name__
        if self.up or not self.failing.startswith(text):
            _log.error("cluster: %s; this host goes on alone, and tells the others later", text)
        self.failing = text

    async def _take_part(self, streams: HostStreams, signer: Signer) -> None:
        async with asyncio.TaskGroup() as tasks:
            ready, greeted = asyncio.Event(), asyncio.Event()
            form, own, claims = self._format, self._own, self._claims
            writer = StreamWriter(streams, form, own, claims, self._time, self._commit)
            tasks.create_task(self._receive(streams, writer, ready))
            tasks.create_task(self._when_ready(greeted, writer.run()))
            tasks.create_task(self._count(streams, signer, ready))
            tasks.create_task(self._beat(streams, writer, ready, greeted))
            # Here, not behind the block: there the group would leave this task marked as cancelled.
            await asyncio.Event().wait()

    async def _receive(self, streams: HostStreams, writer: StreamWriter, ready: asyncio.Event) -> None:
        reader = StreamReader(streams, self._format, self._host, self.peers, self._decisions, self._time)
        async for message in streams.messages(_BEAT):
            end_if_cancelled()
            if message is None:
                if not ready.is_set():
                    self._time.set(await streams.ahead())
                    # A crash must not lose it: what is decided behind a restart would have other ends.
                    await self._commit()
                    self._own.owe(await reader.catch_up(writer))
                    self.up, self.failing, self._pause = True, "", _PAUSES[0]
                    _log.info(
                        "cluster: connected as %s, %s", self._host, counted(len(self.peers), "other host")
                    )
                    ready.set()
                continue
            kind, raw = message
            if kind == "live":
                await reader.heard(raw)
            else:
                self._mail(kind, raw)

    def _mail(self, kind: str, raw: bytes) -> None:
        """A question about a ban of this host, or an answer."""
        batch = self.peers.believed(self._format, raw)
        if batch is None or self.peers.get(batch.host) is None or abs(batch.sent - self._time.now()) > _STALE:
            return
        for record in batch.records[:1]:
            if isinstance(record, list) and kind == "told":
                self._evidence.told(batch.host, record)
            elif isinstance(record, list):
                self._background.spawn(self._evidence.asked(batch.host, record))

    async def _send(self, kind: str, host: str, record: list[Any]) -> bool:
        """Send a record to one host; False without a connection."""
        if (streams := self._streams) is None:
            return False
        message = self._format.written(NEVER, self._time.now(), [record])
        try:
            await streams.send(streams.channel(kind, host), message)
        except UNREACHABLE:
            return False
        return True

    @staticmethod
    async def _when_ready(ready: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
        try:
            await ready.wait()
        except BaseException:
            work.close()
            raise
        await work

    async def _count(self, streams: HostStreams, signer: Signer, ready: asyncio.Event) -> None:
        await ready.wait()
        windows = SharedWindows(streams, self._host, signer, time.time_ns())
        while True:
            end_if_cancelled()
            await self._counting.wake.wait()
            await self._counting.count(windows)

    async def _beat(
        self, streams: HostStreams, writer: StreamWriter, ready: asyncio.Event, greeted: asyncio.Event
    ) -> None:
        """Tell the others that this host is here, and admit what waits for the quota of its host. `greeted`:
        they have been told of its last batch, which they may have missed, before it writes another one."""
        await ready.wait()
        while True:
            if self._left or self._settings() != self._used:
                raise ConnectionError("left the group" if self._left else "the settings have changed")
            last = writer.last.entry if writer.last else ""
            beat = self._format.written(NEVER, self._time.now(), [[records.HERE, last, __version__]])
            await streams.send(streams.live, beat)
            self._time.set(await streams.ahead())
            await streams.here(self._time.now())
            greeted.set()
            self._decisions.look_again()
            for peer in self.peers:
                if peer.waiting:
                    self._decisions.drain(peer)
            end_if_cancelled()
            await asyncio.sleep(_BEAT * max(1, min(len(self.peers) / _HOSTS_A_BEAT, AWAY / 4)))

    async def leave(self) -> bool:
        """Delete what this host wrote, and stay away until the next start; the others keep its bans until
        their ends. False if Redis cannot be reached."""
        streams = self._streams
        if streams is None:
            return False
        self._left = True
        try:
            await streams.leave()
        except UNREACHABLE:
            self._left = False
        return self._left

    def doubts(self) -> Iterator[str]:
        """What is degraded, for `status`."""
        if not self.up:
            yield f"cluster: {self.failing}; this host goes on alone"
        yield from self.peers.doubts()

    def peer_records(self) -> list[dict[str, Any]]:
        """For `zmban cluster peers`."""
        return [peer.record(time.time()) for peer in self.peers]

    def record(self) -> dict[str, Any]:
        """For `zmban cluster status`."""
        now = time.time()
        return {
            "host": self._host, "group": self._used.group, "up": self.up, "failing": self.failing,
            "peers": len(self.peers), "here": sum(peer.is_here(now) for peer in self.peers),
            "due": len(self._own), "to_count": len(self._counting), "refused": dict(self.peers.refused),
            "waiting": sum(len(peer.waiting) for peer in self.peers),
            "forged": self._counting.forged,
        }  # fmt: skip


async def _close(client: Client) -> None:
    with contextlib.suppress(*UNREACHABLE):
        await client.aclose()
