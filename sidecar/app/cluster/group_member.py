"""The connection to the group: tells what this host decided, hears what the others decide.

Nothing of this host waits for it. While Redis is away, everything goes on as on a single host.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from redis.exceptions import ResponseError

from sidecar import __version__
from sidecar.app.background import BackgroundTasks
from sidecar.app.cluster.joint_counting import JointCounting
from sidecar.app.cluster.own_decisions import OwnDecisions
from sidecar.app.cluster.peer import AWAY, Peer, Peers
from sidecar.app.cluster.peer_decisions import PeerDecisions
from sidecar.app.cluster.setup import host_name, membership
from sidecar.app.cluster.shared_time import SharedTime
from sidecar.app.cluster.stream_writer import StreamWriter
from sidecar.app.evidence.peer_evidence import PeerEvidence
from sidecar.cluster import decision_records as records
from sidecar.cluster.batches import BatchFormat, SignedBatch
from sidecar.cluster.claims import Claims, Key
from sidecar.cluster.host_keys import Signer
from sidecar.cluster.host_streams import HostStreams
from sidecar.cluster.hybrid_clock import NEVER, Stamp
from sidecar.cluster.redis_place import UNREACHABLE, connected, is_foreign
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
# Hosts that were not here for so long are not looked for.
_FORGOTTEN: Seconds = 90 * 86400.0


class GroupMember:
    """`up` says whether this host is connected, `failing` why not."""

    def __init__(
        self, settings: Callable[[], ClusterSettings], shared_time: SharedTime, claims: Claims,
        own: OwnDecisions, decisions: PeerDecisions, counting: JointCounting,
        peers: Peers, evidence: PeerEvidence, background: BackgroundTasks,
    ) -> None:  # fmt: skip
        self._settings, self._time, self._claims = settings, shared_time, claims
        self._evidence, self._background = evidence, background
        evidence.send = self._send
        self._own, self._decisions, self._counting = own, decisions, counting
        self.peers, self._host = peers, host_name(settings())
        self._used = settings()
        self._signer: Signer | None = None
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
        self._signer = member.signer
        self.peers.renew(self._used, member.signer.knows)
        self._format = BatchFormat(member.group, self._host, member.signer)
        try:
            self._streams = HostStreams(client, member.group, self._host)
            await self._take_part(self._streams)
        except* UNREACHABLE as group:
            self._lost(group)
        finally:
            self.up, self._streams = False, None
            with contextlib.suppress(*UNREACHABLE):
                async with asyncio.timeout(1.0):
                    await client.aclose()
        self._pause = min(self._pause * 2, _PAUSES[1])
        return self._pause

    def _lost(self, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        text = str(error).strip().partition("\n")[0] or type(error).__name__
        if self.up or not self.failing.startswith(text):
            _log.error("cluster: %s; this host goes on alone, and tells the others later", text)
        self.failing = text

    async def _take_part(self, streams: HostStreams) -> None:
        async with asyncio.TaskGroup() as tasks:
            ready = asyncio.Event()
            writer = StreamWriter(streams, self._format, self._own, self._claims, self._time)
            tasks.create_task(self._receive(streams, writer, ready))
            tasks.create_task(self._when_ready(ready, writer.run()))
            tasks.create_task(self._count(streams, ready))
            tasks.create_task(self._beat(streams, writer, ready))

    async def _receive(self, streams: HostStreams, writer: StreamWriter, ready: asyncio.Event) -> None:
        async for message in streams.messages(_BEAT):
            if message is None:
                if not ready.is_set():
                    await self._catch_up(streams, writer)
                    self.up, self.failing, self._pause = True, "", _PAUSES[0]
                    _log.info(
                        "cluster: connected as %s, %s", self._host, counted(len(self.peers), "other host")
                    )
                    ready.set()
                continue
            kind, raw = message
            if kind == "live":
                await self._heard(streams, raw)
            else:
                self._mail(kind, raw)

    async def _catch_up(self, streams: HostStreams, writer: StreamWriter) -> None:
        """Read what was decided while this host was away, and find out what of its own decisions is
        missing."""
        asked = time.time()
        server = await streams.time()
        self._time.set(server - (asked + time.time()) / 2)
        try:
            told = await self._read_own(streams, writer)
        except ResponseError as error:
            if not is_foreign(error):
                raise
            await streams.forget_all()
            told = set()
        here = await streams.hosts(self._time.now() - _FORGOTTEN)
        for name in sorted({*here, *self.peers.trusted}):
            if (peer := self.peers.get(name)) is not None:
                # Anybody may have written that.
                peer.seen = max(peer.seen, min(self._time.local(here.get(name, 0.0)), time.time()))
                await self._read(streams, peer, at_once=True)
        self._decisions.settle()
        self._own.owe(told)

    async def _read_own(self, streams: HostStreams, writer: StreamWriter) -> set[tuple[Key, Stamp]]:
        """What this host told in its stream."""
        told: set[tuple[Key, Stamp]] = set()
        me = self.peers.itself()
        async for _, raw in streams.read(self._host, None):
            if (batch := self.peers.believed(self._format, raw)) is not None and batch.host == self._host:
                writer.length += len(batch.records)
                told |= _subjects(batch)
                self._decisions.take(me, batch, at_once=True)
                self._time.stamps.see(batch.stamp)
                writer.last = batch.stamp
            await asyncio.sleep(0)
        return told

    async def _read(self, streams: HostStreams, peer: Peer, *, at_once: bool) -> None:
        """Read a peer's stream behind what was applied of it."""
        try:
            await self._read_on(streams, peer, at_once=at_once)
        except ResponseError as error:
            if not is_foreign(error):
                raise
            peer.refuse("stream")

    async def _read_on(self, streams: HostStreams, peer: Peer, *, at_once: bool) -> None:
        async for stamp, raw in streams.read(peer.name, peer.last):
            if self._time.stamps.is_ahead(stamp):
                # So is all behind it. It is read again when the host tells more.
                peer.refuse("clock")
                return
            batch = self.peers.believed(self._format, raw)
            if batch is None or batch.host != peer.name or batch.stamp != stamp:
                # What somebody else wrote there moves nothing: behind it the host may write its stream anew.
                if batch is not None:
                    peer.refuse("stream")
                continue
            self._apply(peer, batch, at_once=at_once)
            await asyncio.sleep(0)

    def _apply(self, peer: Peer, batch: SignedBatch, *, at_once: bool) -> None:
        peer.last = batch.stamp
        self._time.stamps.see(batch.stamp)
        self._decisions.take(peer, batch, at_once=at_once)
        if not at_once:
            peer.lag = max(0.0, self._time.now() - batch.sent)

    async def _heard(self, streams: HostStreams, raw: bytes) -> None:
        """A batch that was just written, or the sign of life of a host."""
        batch = self.peers.believed(self._format, raw)
        if batch is None or batch.host == self._host or (peer := self.peers.get(batch.host)) is None:
            return
        sign = records.sign_of_life(batch.records)
        if sign is None:
            last: Stamp | None = batch.stamp
        elif batch.sent > peer.sent:
            # An older one was sent again by somebody.
            peer.seen, peer.sent = time.time(), batch.sent
            last, peer.version = sign
        else:
            return
        # Read from the stream, in order: a message before this one may have been lost on its way.
        if last is not None and (peer.last is None or last[:2] > peer.last[:2]):
            await self._read(streams, peer, at_once=False)

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

    async def _count(self, streams: HostStreams, ready: asyncio.Event) -> None:
        await ready.wait()
        number = time.time_ns()
        assert self._signer is not None  # noqa: S101 - set before
        windows = SharedWindows(streams, self._host, self._signer, number)
        while True:
            await self._counting.wake.wait()
            await self._counting.count(windows)

    async def _beat(self, streams: HostStreams, writer: StreamWriter, ready: asyncio.Event) -> None:
        """Tell the others that this host is here, and admit what waits for the quota of its host."""
        await ready.wait()
        while True:
            if self._left or self._settings() != self._used:
                raise ConnectionError("left the group" if self._left else "the settings have changed")
            last = writer.last.entry if writer.last else ""
            beat = self._format.written(NEVER, self._time.now(), [[records.HERE, last, __version__]])
            await streams.send(streams.live, beat)
            await streams.here(self._time.now())
            for peer in self.peers:
                if peer.waiting:
                    self._decisions.drain(peer)
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


def _subjects(batch: SignedBatch) -> set[tuple[Key, Stamp]]:
    """What the decisions of a batch are about, with their stamps."""
    found: set[tuple[Key, Stamp]] = set()
    for record in batch.records:
        try:
            one = records.read(record, batch.host)
        except (ValueError, TypeError, KeyError):
            continue
        if one is not None and not isinstance(one, records.SharedLogin):
            found.add((one.key, one.stamp))
    return found
