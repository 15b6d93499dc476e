"""The keys of a group in Redis. Each host writes only its own stream, so that an ACL can hold it to that.

`zmban:GROUP:s:HOST`: the batches of a host. `zmban:GROUP:hosts`: when each host was last here.
`zmban:GROUP:w:...`: the windows that are counted together. Channel `zmban:GROUP:live`: each batch when it is
written; `zmban:GROUP:ask:HOST` and `zmban:GROUP:told:HOST`: questions to a host, and answers.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

from sidecar.cluster.hybrid_clock import Stamp
from sidecar.cluster.redis_place import is_foreign
from sidecar.model import Instant, Seconds

Client = Redis | RedisCluster
_FIELD = b"b"
# Entries of a stream that are read at once: with batches of 80 KB some 640 KB, which a link of 512 kbit/s
# takes within the patience of a command.
_AT_ONCE = 8
# Hosts that are looked for.
_MOST_HOSTS = 10_000


class HostStreams:
    """The streams and channels of one group. Each method raises one of UNREACHABLE."""

    def __init__(self, client: Client, group: str, host: str) -> None:
        self.client, self._host = client, host
        self._prefix = f"zmban:{group}:"
        self.live, self._hosts = f"{self._prefix}live", f"{self._prefix}hosts"

    def window(self, jail: str, network: str) -> str:
        """The key of a window that is counted together."""
        return f"{self._prefix}w:{jail}:{network}"

    def channel(self, kind: str, host: str) -> str:
        """The channel of questions (`ask`) or answers (`told`) of a host."""
        return f"{self._prefix}{kind}:{host}"

    def _stream(self, host: str) -> str:
        return f"{self._prefix}s:{host}"

    async def time(self) -> Instant:
        """The clock of the server: the time that all hosts share."""
        answer: Any
        if isinstance(self.client, RedisCluster):
            await self.client.initialize()
            # Always the same node, as long as it is there: their clocks may differ.
            node = min(self.client.get_nodes(), key=lambda one: str(one.name))
            answer = await self.client.execute_command("TIME", target_nodes=node)
        else:
            answer = await self.client.time()
        return int(answer[0]) + int(answer[1]) / 1e6

    async def ahead(self) -> Seconds:
        """By how much that clock is ahead of this host's."""
        asked = time.time()
        server = await self.time()
        return server - (asked + time.time()) / 2

    async def publish(self, stamp: Stamp, batch: bytes) -> None:
        """Append a batch to this host's stream, and send it to the hosts that are connected."""
        try:
            await self.client.xadd(self._stream(self._host), {_FIELD: batch}, id=stamp.entry)
        except ResponseError as error:
            if not is_foreign(error):
                raise
            await self.forget_all()
            raise ConnectionError(
                "somebody else wrote into the stream of this host; it is written anew"
            ) from None
        await self.client.publish(self.live, batch)

    async def forget_all(self) -> None:
        """Delete this host's stream."""
        await self.client.delete(self._stream(self._host))

    async def send(self, channel: str, message: bytes) -> None:
        """Send a message that is not kept."""
        await self.client.publish(channel, message)

    async def read(self, host: str, after: Stamp | None) -> AsyncIterator[tuple[Stamp, bytes]]:
        """The batches of a host behind this one, None: all."""
        start = f"({after.entry}" if after else "-"
        while True:
            found: Any = await self.client.xrange(self._stream(host), min=start, max="+", count=_AT_ONCE)
            for entry, fields in found:
                # Of Redis, so it is an id; it may be beyond what of_entry takes for a stamp.
                ms, _, number = entry.partition(b"-")
                yield Stamp(int(ms), int(number), host), fields.get(_FIELD, b"")
            if len(found) < _AT_ONCE:
                return
            start = f"({found[-1][0].decode()}"

    async def length(self) -> int:
        """The number of batches in this host's stream."""
        return int(await self.client.xlen(self._stream(self._host)))

    async def forget_before(self, stamp: Stamp) -> None:
        """Delete the batches of this host before this one."""
        await self.client.xtrim(self._stream(self._host), minid=stamp.entry, approximate=False)

    async def here(self, now: Instant) -> None:
        """Note that this host is here."""
        try:
            await self.client.zadd(self._hosts, {self._host: now})
        except ResponseError as error:
            await self._mend_hosts(error)

    async def _mend_hosts(self, error: ResponseError) -> None:
        if not is_foreign(error):
            raise error
        await self.client.delete(self._hosts)

    async def hosts(self, since: Instant) -> dict[str, Instant]:
        """The hosts that were here since then, and when they last were."""
        found: Any = []
        try:
            found = await self.client.zrangebyscore(
                self._hosts, since, "+inf", start=0, num=_MOST_HOSTS, withscores=True
            )
        except ResponseError as error:
            await self._mend_hosts(error)
        return {name.decode("utf-8", "replace"): float(at) for name, at in found}

    async def leave(self) -> None:
        """Delete what this host wrote."""
        await self.forget_all()
        await self.client.zrem(self._hosts, self._host)

    async def messages(self, patience: Seconds) -> AsyncIterator[tuple[str, bytes] | None]:
        """What is sent to this host, by `live`, `ask` or `told`; None first, when nothing can be missed any
        more, and whenever nothing came for `patience` seconds."""
        names = {self.live: "live", **{self.channel(kind, self._host): kind for kind in ("ask", "told")}}
        if isinstance(self.client, RedisCluster):
            # It knows no node before; each node passes on what is sent to any.
            await self.client.initialize()
        async with self.client.pubsub() as pubsub:
            await pubsub.subscribe(*names)
            waiting = len(names)
            while True:
                got: Any = await pubsub.get_message(timeout=patience)
                if got is None:
                    yield None
                elif got["type"] == "subscribe":
                    waiting -= 1
                    if waiting < 0:
                        raise ConnectionError("the connection broke; what was sent meanwhile is missing")
                    if waiting == 0:
                        yield None
                elif got["type"] == "message":
                    yield names[got["channel"].decode()], got["data"]
