"""Windows that several hosts fill: the failures of a network in a jail, counted together.

Each failure is a member of a sorted set, signed by the host that saw it: a host cannot invent failures of
others, and who decides counts only those of hosts that it trusts. The script is known by the hash of its
text, so hosts of different versions never call each other's; it touches its own key only.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError, RedisError, ResponseError

from sidecar.cluster.host_keys import Signer
from sidecar.cluster.host_streams import HostStreams
from sidecar.cluster.redis_place import is_foreign
from sidecar.model import Instant, Seconds
from sidecar.network import Network

# A failure behind the newest one by findtime no longer counts, as in the window of one host. What an attacker
# fails beyond what a ban needs is not kept.
_COUNT = """
local key, findtime, enough = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 3, #ARGV, 2 do redis.call('ZADD', key, ARGV[i], ARGV[i + 1]) end
local newest = tonumber(redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2])
redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.17g', newest - findtime))
redis.call('ZREMRANGEBYRANK', key, 0, -4 * enough - 1)
redis.call('PEXPIRE', key, math.ceil(findtime * 1000) + 1000)
if redis.call('ZCARD', key) < enough then return {} end
return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
"""
_SHA = hashlib.sha1(_COUNT.encode(), usedforsecurity=False).hexdigest()
_AT = struct.Struct("<d")
_NUMBER = struct.Struct("<Q")


class SharedFailure(NamedTuple):
    """A failure to count together, `weight` times, at a time that all hosts share. `maxretry` and `findtime`
    are those of its jail."""

    jail: str
    network: Network
    at: Instant
    weight: int
    maxretry: int
    findtime: Seconds


class Counted(NamedTuple):
    """A window that reached maxretry: the failures by host, and the time of the latest one. `forged` members
    were not signed by a host that is trusted."""

    failure: SharedFailure
    hosts: dict[str, int]
    last: Instant
    forged: int = 0

    @property
    def reached(self) -> bool:
        """Whether all together suffice for a ban."""
        return self.total >= self.failure.maxretry

    @property
    def total(self) -> int:
        """All failures."""
        return sum(self.hosts.values())


class SharedWindows:
    """Counts in Redis. Each method raises one of UNREACHABLE."""

    def __init__(self, streams: HostStreams, host: str, signer: Signer, number: int) -> None:
        """`number`: one that this host never used; each failure gets one of its own."""
        self._streams, self._host, self._signer, self._number = streams, host, signer, number

    async def count(self, failures: Sequence[SharedFailure]) -> list[Counted]:
        """Count failures, in one round trip. Returns the windows that have reached maxretry, and those with
        forged members."""
        calls = [(one, self._arguments(one)) for one in failures]
        try:
            answers = await self._called(calls, by_hash=True)
        except NoScriptError:
            answers = await self._called(calls, by_hash=False)
        found = [self._judged(one, answer) for one, answer in zip(failures, answers, strict=True) if answer]
        for one in found:
            if one.forged:
                await self._remove_forged(one.failure)
        return found

    async def _called(
        self, calls: Sequence[tuple[SharedFailure, list[bytes | float | int]]], *, by_hash: bool
    ) -> list[Any]:
        pipeline = self._streams.client.pipeline(transaction=False)
        for one, arguments in calls:
            key = self._streams.window(one.jail, str(one.network))
            # The methods of these names are blocked where there are several servers.
            script = ("EVALSHA", _SHA) if by_hash else ("EVAL", _COUNT)
            pipeline.execute_command(*script, 1, key, *arguments)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        for number, answer in enumerate(answers):
            if isinstance(answer, ResponseError) and is_foreign(answer):
                # The next failure begins a window of its own.
                await self.forget([(calls[number][0].jail, calls[number][0].network)])
                answers[number] = [(b"", 0.0)]
            elif isinstance(answer, RedisError):
                raise answer
        return answers

    def _arguments(self, one: SharedFailure) -> list[bytes | float | int]:
        found: list[bytes | float | int] = [one.findtime, one.maxretry]
        for _ in range(min(one.weight, one.maxretry)):
            found += [repr(one.at).encode(), self._member(one)]
        return found

    def _member(self, one: SharedFailure) -> bytes:
        self._number += 1
        name = self._host.encode()
        head = bytes((len(name),)) + name + _NUMBER.pack(self._number)
        return head + self._signer.sign(_signed(one.jail, one.network, one.at, head))

    def _judged(self, one: SharedFailure, answer: list[Any]) -> Counted:
        hosts: dict[str, int] = {}
        last, forged = 0.0, 0
        for member, score in _pairs(answer):
            host = self._signer_of(one, member, score)
            if host is None:
                forged += 1
            else:
                hosts[host] = hosts.get(host, 0) + 1
                last = max(last, score)
        return Counted(one, hosts, last, forged)

    def _signer_of(self, one: SharedFailure, member: bytes, at: Instant) -> str | None:
        """The host that signed a member for this window and time; None if nobody that is trusted did."""
        end = 1 + member[0] + _NUMBER.size if member else 0
        head, signature = member[:end], member[end:]
        if len(head) != end or len(signature) != self._signer.length:
            return None
        host = head[1 : 1 + member[0]].decode("utf-8", "replace")
        message = _signed(one.jail, one.network, at, head)
        return host if self._signer.is_signed_by(host, message, signature) else None

    async def _remove_forged(self, one: SharedFailure) -> None:
        key = self._streams.window(one.jail, str(one.network))
        answer: Any = await self._streams.client.zrange(key, 0, -1, withscores=True)
        forged = [member for member, at in answer if self._signer_of(one, member, at) is None]
        if forged:
            await self._streams.client.zrem(key, *forged)

    async def forget(self, windows: Iterable[tuple[str, Network]]) -> None:
        """Drop windows, by jail and network: they led to a ban, or their networks were let go."""
        pipeline = self._streams.client.pipeline(transaction=False)
        for jail, network in windows:
            pipeline.delete(self._streams.window(jail, str(network)))
        await pipeline.execute()


def _signed(jail: str, network: Network, at: Instant, head: bytes) -> bytes:
    return b"zmban failure\0" + head + _AT.pack(at) + network + jail.encode()


def _pairs(answer: list[Any]) -> list[tuple[bytes, float]]:
    """Members and scores: a flat list in RESP2, pairs in RESP3."""
    if answer and isinstance(answer[0], list | tuple):
        return [(member, float(score)) for member, score in answer]
    return [(answer[i], float(answer[i + 1])) for i in range(0, len(answer) - 1, 2)]
