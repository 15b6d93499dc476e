"""Several hosts in one process, each with its own clock, state directory and wire to a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis

from sidecar.app import daemon
from sidecar.app.bootstrap import Components, build
from sidecar.app.cluster import group_member, own_decisions
from sidecar.app.cluster.group_member import GroupMember
from sidecar.app.cluster.joining import join
from sidecar.app.runtime_options import RuntimeOptions
from sidecar.bans.table import BanTable
from sidecar.cluster import redis_place
from sidecar.cluster.claims import Claims
from sidecar.cluster.host_keys import new_key
from sidecar.configuration import loading
from sidecar.kernel import registry
from sidecar.kernel.backend import Entry
from sidecar.network import Network
from tests.app.enforce.test_enforcer import Memory
from tests.app.running import InProcess, Running, until
from tests.netns import program

T = TypeVar("T")
# By how much the clock of the host that runs is wrong.
_WRONG: contextvars.ContextVar[float] = contextvars.ContextVar("wrong", default=0.0)
# How exactly ends of bans are compared: the hosts know the time of Redis as well as they can.
CLOSE = 100.0


def hasten(patch: pytest.MonkeyPatch) -> None:
    """Give each host its own clock and a kernel in memory, and let it try again sooner."""
    right = time.time
    patch.setattr(time, "time", lambda: right() + _WRONG.get())
    patch.setitem(registry.BACKENDS, "route", lambda _: Memory())
    patch.setattr(group_member, "_PAUSES", (0.05, 0.2))
    patch.setattr(group_member, "_BEAT", 0.1)
    patch.setattr(redis_place, "PATIENCE", 0.4)
    # Decisions of a test are not seconds apart.
    patch.setattr(own_decisions, "_CLOSE", 0.0, raising=False)


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


class HostHere:
    """A host of the group; `wrong` is by how many seconds its clock is ahead."""

    def __init__(self, name: str, root: Path, port: int, wrong: float) -> None:
        root.mkdir()
        self.name, self.wrong, self.wire = name, wrong, Wire(port)
        self.running, self.key_file = Running(root), root / "key"
        text, self.public = new_key()
        self.key_file.write_text(text)
        self.here: InProcess | None = None
        self._context = contextvars.copy_context()
        self._context.run(_WRONG.set, wrong)

    @property
    def parts(self) -> Components:
        assert self.here is not None
        return self.here.parts

    async def within(self, work: Coroutine[Any, Any, T]) -> T:
        """Run this with the clock of the host."""
        return await asyncio.create_task(work, context=self._context)

    def call(self, work: Callable[..., T], *arguments: Any) -> T:
        """Call this with the clock of the host."""
        return self._context.run(work, *arguments)

    async def start(self) -> None:
        """Start from its state directory."""
        parts = self.call(
            lambda: build(
                loading.load([str(self.running.root / "config")]), RuntimeOptions(self.running.state, False)
            )
        )
        await self.within(daemon.startup(parts))
        self.member: GroupMember = self.call(join, parts)
        self.here = self.call(InProcess, parts)
        self._task = asyncio.create_task(self._be_member(self.member.run), context=self._context)

    async def _be_member(self, run: Callable[[], Awaitable[float]]) -> None:
        while True:
            await asyncio.sleep(await run())

    async def kill(self, *, commit: bool) -> None:
        """End it at once, with or without a last commit."""
        parts, self.here = self.parts, None
        assert not self._task.done(), self._task
        self._task.cancel()
        await asyncio.wait([self._task], timeout=10)
        assert self._task.done(), "it does not end"
        if not commit:
            parts.commit_queue._changes.clear()
        await self.within(parts.background.settled())
        await parts.commit_queue.commit()
        parts.commit_queue.database.close()
        parts.resolver.close()
        parts.enforcer.close(flush=False)

    @property
    def claims(self) -> Claims:
        """What it knows of all decisions."""
        return self.member._claims

    @property
    def table(self) -> BanTable:
        """Its bans."""
        return self.parts.memory.register.table

    def true(self, at: float | None) -> float:
        """A time of this host by the right clock; for ever is infinite."""
        return float("inf") if at is None else at - self.wrong

    def bans(self) -> dict[tuple[Network, str], float]:
        """Its bans and their ends."""
        return {(ban.network, ban.jail): self.true(ban.until) for ban in self.table}

    def allowed(self) -> dict[Network, float]:
        """Its allowed networks and their ends."""
        return {one.network: self.true(one.until) for one in self.parts.allow_list}

    def refused(self) -> set[Network]:
        """The networks that its kernel refuses."""
        return {n for n, entry in self.parts.enforcer._routes.present().items() if entry is Entry.BAN}


@contextlib.contextmanager
def local_redis(place: Path) -> Iterator[LocalRedis]:
    """A server that is killed at the end."""
    server = LocalRedis(place)
    try:
        yield server
    finally:
        server.kill()


@contextlib.asynccontextmanager
async def together(root: Path, port: int, clocks: dict[str, float]) -> Any:
    """Hosts with clocks that are wrong by so much, started and connected."""
    hosts = [HostHere(name, root / name, port, wrong) for name, wrong in clocks.items()]
    try:
        for number, host in enumerate(hosts):
            await host.wire.listen()
            trust = ", ".join(f'"{one.name}={one.public}"' for one in hosts if one is not host)
            text = f'[cluster]\nurl = "redis://127.0.0.1:{host.wire.port}"\nhost = "{host.name}"\n'
            text += f'key_file = "{host.key_file}"\ntrust = [{trust}]\n'
            text += f'[trust]\nnetworks = ["192.0.2.{number + 1}"]\n'
            (host.running.root / "config/zmban.toml").write_text(text)
            await host.start()
        yield hosts
    finally:
        for host in hosts:
            if host.here is not None:
                await host.kill(commit=True)
            host.wire.close()


async def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> bool:
    """Whether a condition becomes true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.02)
    return True
