"""Many clients of a service's HTTP server, good and bad ones, as a process of their own: `python -m bench.clients.crowd PORT`.

Bounded: every client waits between its requests. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections.abc import Awaitable, Callable

_HOST = "127.0.0.1"
IDLE, FOLLOWERS, DEAF, SLOW, READERS = 1000, 50, 10, 20, 3
_HEAD = "Host: localhost\r\n"
_PATHS = (
    "/", "/api/status", "/api/bans", "/api/bans?q=11.", "/api/bans?q=failures&limit=500", "/api/jails", "/api/jails/smtp",
    "/api/logs", "/api/rates", "/api/explain?address=203.0.113.7", "/metrics", "/../../etc/passwd", "/api/none",
)  # fmt: skip
_BAD = (
    "GET /api/bans HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    f"POST /api/ban HTTP/1.1\r\n{_HEAD}Authorization: Bearer wrong\r\nContent-Length: 2\r\n\r\n{{}}",
    f"POST /api/ban HTTP/1.1\r\n{_HEAD}Origin: https://evil.example\r\nContent-Length: 2\r\n\r\n{{}}",
    "\x16\x03\x01\x02\x00\x01",
)


async def _connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(_HOST, port)


async def _idle(port: int) -> None:
    """Connects and says nothing."""
    reader, writer = await _connect(port)
    await reader.read(1)
    writer.close()


async def _follower(port: int) -> None:
    """Reads live events."""
    reader, writer = await _connect(port)
    writer.write(f"GET /api/events HTTP/1.1\r\n{_HEAD}\r\n".encode())
    while await reader.read(1 << 16):
        pass
    writer.close()


async def _deaf(port: int) -> None:
    """Asks for live events, and never reads."""
    _, writer = await _connect(port)
    writer.write(f"GET /api/events HTTP/1.1\r\n{_HEAD}\r\n".encode())
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a socket
    await asyncio.sleep(20)
    writer.close()


async def _slow(port: int) -> None:
    """Sends a request a letter at a time."""
    _, writer = await _connect(port)
    for letter in f"GET /metrics HTTP/1.1\r\n{_HEAD}X: {'y' * 200}":
        writer.write(letter.encode())
        await writer.drain()
        await asyncio.sleep(0.2)
    writer.close()


async def _large(port: int) -> None:
    """Sends headers of 100 MB, as far as they are taken."""
    _, writer = await _connect(port)
    writer.write(b"GET /metrics HTTP/1.1\r\nX: ")
    for _ in range(1600):
        writer.write(b"x" * 65536)
        await writer.drain()
    writer.close()


async def _asked(port: int, request: str) -> None:
    reader, writer = await _connect(port)
    writer.write(request.encode())
    while await reader.read(1 << 16):
        pass
    writer.close()


async def _reader(port: int) -> None:
    """Looks at everything, one after the other."""
    for path in _PATHS:
        await _asked(port, f"GET {path} HTTP/1.1\r\n{_HEAD}Connection: close\r\n\r\n")
        await asyncio.sleep(0.1)


async def _bad(port: int) -> None:
    for request in _BAD:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await _asked(port, request)
        await asyncio.sleep(0.2)


async def _again(work: Callable[[int], Awaitable[None]], port: int) -> None:
    while True:
        with contextlib.suppress(OSError):
            await work(port)
        await asyncio.sleep(random.uniform(1, 3))


async def crowd(port: int) -> None:
    """All of them, until standard input ends."""
    kinds = (
        (_idle, IDLE),
        (_follower, FOLLOWERS),
        (_deaf, DEAF),
        (_slow, SLOW),
        (_reader, READERS),
        (_large, 1),
        (_bad, 2),
    )
    tasks = [asyncio.create_task(_again(work, port)) for work, count in kinds for _ in range(count)]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(crowd(int(sys.argv[1])))
