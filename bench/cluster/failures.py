"""Drives one Redis server with the failures of many hosts, by the code that hosts run."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections.abc import Sequence

from redis.asyncio import Redis

from sidecar.cluster.host_keys import HostKeys, new_key
from sidecar.cluster.host_streams import HostStreams
from sidecar.cluster.shared_windows import SharedFailure, SharedWindows
from sidecar.network import Network

# Failures in one round trip: what a busy host gathers while the one before is under way.
_AT_ONCE = 20
_NETWORKS = 5000


def counted(
    server: str, hosts: int, a_second: int, seconds: float, processes: int
) -> tuple[float, Sequence[float]]:
    """Failures a second that were counted, and how long each round trip took."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    keys = {f"mx{number}": new_key() for number in range(hosts)}
    shares = [list(keys)[start::processes] for start in range(processes)]
    running = [
        context.Process(target=_some, args=(there, server, names, keys, a_second / hosts, seconds))
        for names in shares
    ]
    begun = time.monotonic()
    for one in running:
        one.start()
    found = [here.recv() for _ in running]
    for one in running:
        one.join()
    total = sum(number for number, _ in found)
    return total / (time.monotonic() - begun), sorted(took for _, some in found for took in some)


def _some(out, server, names, keys, a_second, seconds) -> None:  # type: ignore[no-untyped-def]
    out.send(asyncio.run(_all(server, names, keys, a_second, seconds)))


async def _all(
    server: str, names: list[str], keys: dict[str, tuple[str, str]], a_second: float, seconds: float
) -> tuple[int, list[float]]:
    trusted = {name: public for name, (_, public) in keys.items()}
    each = [_host(server, name, keys[name][0], trusted, a_second, seconds) for name in names]
    results = await asyncio.gather(*each)
    return sum(number for number, _ in results), [took for _, some in results for took in some]


async def _host(
    server: str, name: str, key: str, trusted: dict[str, str], a_second: float, seconds: float
) -> tuple[int, list[float]]:
    client = Redis(host=server)
    chance = random.Random(name)
    windows = SharedWindows(
        HostStreams(client, "bench", name), name, HostKeys(name, key, trusted), time.time_ns()
    )
    begun, done, took = time.monotonic(), 0, []
    while (now := time.monotonic() - begun) < seconds:
        if done > now * a_second:
            await asyncio.sleep((done - now * a_second) / a_second)
            continue
        at = time.time()
        failures = [
            SharedFailure("smtp", Network(4, (198 << 24) + chance.randrange(_NETWORKS), 32), at, 1, 5, 600.0)
            for _ in range(_AT_ONCE)
        ]
        before = time.monotonic()
        if reached := await windows.count(failures):
            await windows.forget((one.failure.jail, one.failure.network) for one in reached)
        took.append(time.monotonic() - before)
        done += _AT_ONCE
    await client.aclose()
    return done, took
