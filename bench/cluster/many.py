"""Runs the components of many hosts against one Redis server: all but their logs and their kernels."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sidecar.app import daemon
from sidecar.app.bootstrap import Components, build
from sidecar.app.cluster import joining
from sidecar.app.cluster.group_member import GroupMember
from sidecar.app.runtime_options import RuntimeOptions
from sidecar.configuration import loading
from sidecar.model import Ban
from sidecar.network import Network

# Routes are kept in memory: the hosts of one machine have one kernel.
_SETTINGS = """[kernel]
backend = "dry-run"
[cluster]
url = "redis://127.0.0.1:{port}"
host = "{name}"
shared_key_file = "{secret}"
"""


class Many:
    """Some of the hosts, in this process."""

    def __init__(self, root: Path, port: int, first: int, number: int) -> None:
        secret = root / "secret"
        secret.write_text("bench " * 10)
        self.hosts: list[tuple[Components, GroupMember]] = []
        for index in range(first, first + number):
            place = root / f"mx{index}"
            place.mkdir()
            text = _SETTINGS.format(port=port, name=place.name, secret=secret)
            (place / "zmban.toml").write_text(text)
            parts = build(loading.load([str(place)]), RuntimeOptions(place / "state", dry_run=False))
            self.hosts.append((parts, joining.join(parts)))

    async def run(self, bans: int) -> dict[str, Any]:
        """Connect, wait for a line on standard input, then ban on the first host and wait for all hosts of all
        processes to have `bans`."""
        for parts, _ in self.hosts:
            await daemon.startup(parts)
        tasks = [asyncio.create_task(_forever(member)) for _, member in self.hosts]
        while not all(member.up for _, member in self.hosts):  # noqa: ASYNC110 - many states, no event
            await asyncio.sleep(0.1)
        print("ready", flush=True)
        line = await asyncio.to_thread(sys.stdin.readline)
        cpu = time.process_time()
        if "ban" in line:
            asyncio.get_running_loop().create_task(self._ban(bans))
        while min(len(p.memory.register.table) for p, _ in self.hosts) < bans:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        lags = [peer.lag for _, member in self.hosts for peer in member.peers if peer.lag]
        for task in tasks:
            task.cancel()
        return {
            "at": time.time(), "cpu": time.process_time() - cpu, "lag": max(lags, default=0.0),
            "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }  # fmt: skip

    async def _ban(self, bans: int) -> None:
        parts, _ = self.hosts[0]
        for number in range(bans):
            ban = Ban(Network(4, (198 << 24) + number, 32), "bench", time.time(), None, "log", "told")
            parts.bus.publish(parts.memory.register.ban(ban, time.time()), live=True)
            await asyncio.sleep(0.01)


async def _forever(member: GroupMember) -> None:
    while True:  # noqa: ASYNC110 - as Periodic does
        await asyncio.sleep(await member.run())


def measured(root: Path, port: int, hosts: int, processes: int, bans: int) -> dict[str, float]:
    """Seconds from the first of `bans` on one host until all hosts have all, CPU seconds and bytes per host."""
    each = hosts // processes
    command = [sys.executable, "-m", "bench.cluster.many"]
    running = []
    for number in range(processes):
        place = root / f"process{number}"
        place.mkdir(parents=True)
        arguments = [str(place), str(port), str(number * each), str(each), str(bans)]
        running.append(
            subprocess.Popen([*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
    try:
        for one in running:
            assert one.stdout is not None
            while "ready" not in (line := one.stdout.readline()):
                assert line, "a process ended"
        begun = time.time()
        for number, one in enumerate(running):
            assert one.stdin is not None
            one.stdin.write("ban\n" if number == 0 else "go\n")
            one.stdin.flush()
        found = [json.loads(one.communicate(timeout=300)[0].splitlines()[-1]) for one in running]
    finally:
        for one in running:
            one.kill()
    return {
        "seconds": max(one["at"] for one in found) - begun, "lag": max(one["lag"] for one in found),
        "cpu": sum(one["cpu"] for one in found) / hosts, "memory": sum(one["memory"] for one in found) / hosts,
    }  # fmt: skip


if __name__ == "__main__":
    place, *numbers = sys.argv[1:]
    port, first, number, bans = map(int, numbers)
    many = Many(Path(place), port, first, number)
    print(json.dumps(asyncio.run(many.run(bans))), flush=True)
