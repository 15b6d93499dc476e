"""Several hosts in one process, each with its own clock, state directory and wire to a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from sidecar.app import daemon
from sidecar.app.bootstrap import Components, build
from sidecar.app.cluster import group_member, own_decisions
from sidecar.app.cluster.group_member import GroupMember
from sidecar.app.cluster.joining import join
from sidecar.app.cluster.peers.shared_domains import SharedDomains
from sidecar.app.runtime_options import RuntimeOptions
from sidecar.bans.table import BanTable
from sidecar.cluster import redis_place
from sidecar.cluster.claims import Claims
from sidecar.cluster.host_keys import new_key
from sidecar.configuration import loading
from sidecar.domains.domain_maps import DomainMaps
from sidecar.kernel import registry
from sidecar.kernel.backend import Entry
from sidecar.network import Network
from tests.app.cluster.local_redis import Wire
from tests.app.enforce.test_enforcer import Memory
from tests.app.running import InProcess, Running

T = TypeVar("T")
# The host that runs, and by how much the clock of each is wrong.
_HOST: contextvars.ContextVar[str] = contextvars.ContextVar("host", default="")
WRONG: dict[str, float] = {}
# How exactly ends of bans are compared: the hosts know the time of Redis as well as they can.
CLOSE = 100.0
HOUR = 3600.0


def hasten(patch: pytest.MonkeyPatch) -> None:
    """Give each host its own clock and a kernel in memory, and let it try again sooner."""
    right = time.time
    patch.setattr(time, "time", lambda: right() + WRONG.get(_HOST.get(), 0.0))
    patch.setitem(registry.BACKENDS, "route", lambda _: Memory())
    patch.setattr(group_member, "_PAUSES", (0.05, 0.2))
    patch.setattr(group_member, "_BEAT", 0.1)
    patch.setattr(redis_place, "PATIENCE", 0.4)
    # Decisions of a test are not seconds apart.
    patch.setattr(own_decisions, "_CLOSE", 0.0, raising=False)


class HostHere:
    """A host of the group; `wrong` is by how many seconds its clock is ahead."""

    def __init__(self, name: str, root: Path, port: int, wrong: float) -> None:
        root.mkdir()
        self.name, self.wrong, self.wire = name, wrong, Wire(port)
        self.running, self.key_file = Running(root), root / "key"
        text, self.public = new_key()
        self.key_file.write_text(text)
        self.here: InProcess | None = None
        self.maps = root / "maps"
        self.maps.mkdir()
        self._looking = asyncio.Lock()
        self._context = contextvars.copy_context()
        self._context.run(_HOST.set, name)
        WRONG[name] = wrong

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
        self._task = asyncio.create_task(self._run(self.member), context=self._context)

    async def _run(self, member: GroupMember) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._be_member(member.run))
            tasks.create_task(self._keep_domains())

    async def _keep_domains(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(0.1)

    async def look(self) -> None:
        """Compare its map of refused domains with the decisions of the group."""
        async with self._looking:
            await self.domains.look()

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

    def step(self, seconds: float) -> None:
        """Set its clock forward, or back."""
        self.wrong += seconds
        WRONG[self.name] = self.wrong

    @property
    def claims(self) -> Claims:
        """What it knows of all decisions."""
        return self.member._claims

    @property
    def domains(self) -> SharedDomains:
        """The job for its refused domains."""
        return self.member._decisions._domains

    def refused_domains(self) -> dict[str, float]:
        """The domains in its map and their ends."""
        return {one.domain: self.true(one.until) for one in DomainMaps(self.maps).refusals()}

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
            text += f'[domains]\ndirectory = "{host.maps}"\nprotect = ["mail{number + 1}.example"]\n'
            host.call(DomainMaps(host.maps).expire, time.time())
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
