"""A host of a group that is played by a test: it can write whatever its key, and Redis, allow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any

from redis.asyncio import Redis

from sidecar.cluster.batches import MOST_RECORDS, BatchFormat
from sidecar.cluster.decision_records import SharedBan
from sidecar.cluster.host_keys import HostKeys, Signer, new_key
from sidecar.cluster.host_streams import HostStreams
from sidecar.cluster.hybrid_clock import HybridClock
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

    def batches(self, records: Sequence[Any]) -> Iterable[tuple[Any, bytes]]:
        """Signed batches of records."""
        form = BatchFormat(self.group, self.name, self.signer)
        for start in range(0, len(records), MOST_RECORDS):
            stamp = self.clock.now()
            yield stamp, form.written(stamp, time.time(), records[start : start + MOST_RECORDS])

    def tell(self, server: str, *networks: str, records: Sequence[Any] = ()) -> None:
        """Write bans of networks, and other records, into its stream, and to all that listen."""

        async def write() -> None:
            client = Redis(host=server)
            try:
                streams = HostStreams(client, self.group, self.name)
                for stamp, batch in self.batches([*self.bans(*networks), *records]):
                    await streams.publish(stamp, batch)
                await streams.here(time.time())
            finally:
                await client.aclose()

        asyncio.run(write())
