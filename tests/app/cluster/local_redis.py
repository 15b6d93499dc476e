"""A Redis server on the loopback device, and the wire to it that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from tests.app.running import until
from tests.netns import program


class LocalRedis:
    """A redis-server on a port of the loopback device; nothing is saved."""

    def __init__(self, place: Path) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port: int = one.getsockname()[1]
        self._place, self.stopped = place, False
        self.start()

    def start(self) -> None:
        """Start it, empty."""
        command = [program("redis-server", "redis-server"), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--dir", str(self._place)]
        with (self._place / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.ask("PING"))
        return False

    def ask(self, *command: str) -> Any:
        """Run a command."""
        with redis.Redis(port=self.port, socket_timeout=5) as client:
            return client.execute_command(*command)

    def pause(self) -> None:
        """Let it stand still."""
        self.process.send_signal(signal.SIGSTOP)
        self.stopped = True

    def go_on(self) -> None:
        """Undo `pause`."""
        self.process.send_signal(signal.SIGCONT)
        self.stopped = False

    def kill(self) -> None:
        """Kill it by its id."""
        if self.process.poll() is None:
            self.process.kill()
            self.go_on()
            self.process.wait(20)


class Wire:
    """A TCP proxy in front of Redis that can be cut, in one way or both."""

    def __init__(self, port: int) -> None:
        self._far = port
        self._open = {"out": asyncio.Event(), "in": asyncio.Event()}
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.mend()

    async def listen(self) -> None:
        """Begin; `port` is where the host connects."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._far)
        except OSError:
            writer.close()
            return
        ways = (("out", reader, far_writer), ("in", far_reader, writer))
        for way, source, sink in ways:
            self._writers.add(sink)
            task = asyncio.create_task(self._pump(way, source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, way: str, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(1 << 16):
                await self._open[way].wait()
                sink.write(data)
                await sink.drain()
        await self._open[way].wait()
        self._writers.discard(sink)
        sink.close()

    def cut(self, *ways: str) -> None:
        """Hold back what travels this way."""
        for way in ways:
            self._open[way].clear()

    def mend(self, *, drop: bool = False) -> None:
        """Let everything pass again; `drop` breaks the connections first."""
        for writer in list(self._writers) if drop else ():
            writer.transport.abort()
        for event in self._open.values():
            event.set()

    def close(self) -> None:
        """Stop."""
        self._server.close()
        self.mend(drop=True)
        for task in list(self._tasks):
            task.cancel()


@contextlib.contextmanager
def local_redis(place: Path) -> Iterator[LocalRedis]:
    """A server that is killed at the end."""
    server = LocalRedis(place)
    try:
        yield server
    finally:
        server.kill()
