"""Reads the streams of all hosts: at the start what was decided before, then what is decided now."""

from __future__ import annotations

import asyncio
import time

from redis.exceptions import ResponseError

from sidecar.app.cluster.peers.peer import Peer, Peers
from sidecar.app.cluster.peers.peer_decisions import PeerDecisions
from sidecar.app.cluster.shared_time import SharedTime
from sidecar.app.cluster.stream_writer import StreamWriter
from sidecar.cluster import decision_records as records
from sidecar.cluster.batches import BatchFormat, SignedBatch
from sidecar.cluster.claims import Key
from sidecar.cluster.host_streams import HostStreams
from sidecar.cluster.hybrid_clock import Stamp
from sidecar.cluster.redis_place import is_foreign
from sidecar.model import Seconds

# Hosts that were not here for so long are not looked for.
_FORGOTTEN: Seconds = 90 * 86400.0


class StreamReader:
    """The reader of one connection. Each method raises one of UNREACHABLE."""

    def __init__(
        self, streams: HostStreams, form: BatchFormat, host: str, peers: Peers, decisions: PeerDecisions,
        time: SharedTime,
    ) -> None:  # fmt: skip
        self._streams, self._format, self._host, self._peers = streams, form, host, peers
        self._decisions, self._time = decisions, time

    async def catch_up(self, writer: StreamWriter) -> set[tuple[Key, Stamp]]:
        """Read what was decided while this host was away. Returns what its own stream has."""
        try:
            told = await self._read_own(writer)
        except ResponseError as error:
            if not is_foreign(error):
                raise
            await self._streams.forget_all()
            told = set()
        here = await self._streams.hosts(self._time.now() - _FORGOTTEN)
        for name in sorted({*here, *self._peers.trusted}):
            if (peer := self._peers.get(name)) is not None:
                # Anybody may have written that.
                peer.seen = max(peer.seen, min(self._time.local(here.get(name, 0.0)), time.time()))
                await self._read(peer, at_once=True)
        self._decisions.settle()
        return told

    async def _read_own(self, writer: StreamWriter) -> set[tuple[Key, Stamp]]:
        """What this host told in its stream."""
        told: set[tuple[Key, Stamp]] = set()
        me = self._peers.itself()
        async for _, raw in self._streams.read(self._host, None):
            if (batch := self._peers.believed(self._format, raw)) is not None and batch.host == self._host:
                writer.length += len(batch.records)
                told |= _subjects(batch)
                self._decisions.take(me, batch, at_once=True)
                self._time.stamps.see(batch.stamp)
                writer.last = batch.stamp
            await asyncio.sleep(0)
        return told

    async def _read(self, peer: Peer, *, at_once: bool) -> None:
        """Read a peer's stream behind what was applied of it."""
        try:
            await self._read_on(peer, at_once=at_once)
        except ResponseError as error:
            if not is_foreign(error):
                raise
            peer.refuse("stream")

    async def _read_on(self, peer: Peer, *, at_once: bool) -> None:
        async for stamp, raw in self._streams.read(peer.name, peer.last):
            if self._time.stamps.is_ahead(stamp):
                # So is all behind it. It is read again when the host tells more.
                peer.refuse("clock")
                return
            batch = self._peers.believed(self._format, raw)
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

    async def heard(self, raw: bytes) -> None:
        """A batch that was just written, or the sign of life of a host."""
        batch = self._peers.believed(self._format, raw)
        if batch is None or batch.host == self._host or (peer := self._peers.get(batch.host)) is None:
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
        if last is None or (peer.last is not None and last[:2] <= peer.last[:2]):
            return
        follows = peer.last is not None and records.batch_before(batch.records) == peer.last.entry
        if follows and not self._time.stamps.is_ahead(batch.stamp):
            self._apply(peer, batch, at_once=False)
        else:
            # In order from the stream: a message before this one was lost on its way.
            await self._read(peer, at_once=False)


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
