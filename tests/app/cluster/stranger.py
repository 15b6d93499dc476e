"""A host of a group that is played by a test: it can write whatever its key, and Redis, allow."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from redis.asyncio import Redis

from sidecar.cluster.batches import MOST_RECORDS, BatchFormat
from sidecar.cluster.decision_records import SharedBan
from sidecar.cluster.host_keys import HostKeys, Signer, new_key
from sidecar.cluster.host_streams import HostStreams
from sidecar.cluster.hybrid_clock import HybridClock
from sidecar.cluster.shared_windows import SharedFailure, SharedWindows
from sidecar.network import Network


class Stranger:
    """`clock` stamps what it tells. `signer`: by default a key of its own."""

    def __init__(self, name: str, group: str = "zmban", signer: Signer | None = None) -> None:
        self.name, self.group = name, group
        text, self.public = new_key()
        self.signer: Signer = signer or HostKeys(name, text, {})
        self.clock = HybridClock(name, time.time)

    def bans(
        self, *networks: str, jail: str = "smtp", origin: str = "log", until: float | None = None
    ) -> list[Any]:
        """Records of bans."""
        now = time.time()
        return [
            SharedBan(Network.parse(one), jail, self.clock.now(), until, now, origin, "told", 1, "").record()
            for one in networks
        ]

    def form(self, group: str = "") -> BatchFormat:
        """Its signed batches, of its group or of another one."""
        return BatchFormat(group or self.group, self.name, self.signer)

    def signed(self, *fields: Any) -> bytes:
        """A signed batch of any fields, also those that no host writes."""
        text = json.dumps(fields).encode()
        signature = self.signer.sign(text)
        return bytes((len(signature),)) + signature + text

    def batches(self, records: Sequence[Any]) -> Iterable[tuple[Any, bytes]]:
        """Signed batches of records."""
        form = self.form()
        for start in range(0, len(records), MOST_RECORDS):
            stamp = self.clock.now()
            yield stamp, form.written(stamp, time.time(), records[start : start + MOST_RECORDS])

    def tell(self, server: str, *networks: str, records: Sequence[Any] = ()) -> None:
        """Write bans of networks, and other records, into its stream, and to all that listen."""
        self.write(server, *self.batches([*self.bans(*networks), *records]))

    def write(self, server: str, *batches: tuple[Any, bytes], stream: str = "") -> None:
        """Write anything as entries of a stream (by default its own), and to all that listen."""

        async def write(streams: HostStreams) -> None:
            for stamp, batch in batches:
                await streams.publish(stamp, batch)
            await streams.here(time.time())

        asyncio.run(self._connected(server, write, stream or self.name))

    def say(self, server: str, *messages: bytes) -> None:
        """Send messages to all that listen, which are kept nowhere."""

        async def say(streams: HostStreams) -> None:
            for message in messages:
                await streams.send(streams.live, message)

        asyncio.run(self._connected(server, say, self.name))

    def fail(self, server: str, *failures: SharedFailure, signer: Signer | None = None) -> None:
        """Count failures in the shared windows, `signer` signs them."""

        async def fail(streams: HostStreams) -> None:
            windows = SharedWindows(streams, self.name, signer or self.signer, time.time_ns())
            await windows.count(failures)

        asyncio.run(self._connected(server, fail, self.name))

    async def _connected(
        self, server: str, work: Callable[[HostStreams], Coroutine[Any, Any, None]], host: str
    ) -> None:
        client = Redis(host=server)
        try:
            await work(HostStreams(client, self.group, host))
        finally:
            await client.aclose()
