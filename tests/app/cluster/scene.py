"""Two real hosts, and hosts played by a test that both trust."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.app.cluster.group import REDIS, Group, Host, group
from tests.app.cluster.stranger import Stranger
from tests.app.running import until

QUOTA = "bans_per_minute = 300\nmost_bans = 500\nmost_addresses = 100000\n"


class Scene:
    """Two real hosts, and rogues that both trust. Each test takes a rogue and a network of its own."""

    def __init__(self, found: Group) -> None:
        self.group, self.hosts = found, list(found.hosts.values())
        self._rogues = {f"rogue{n}": Stranger(f"rogue{n}") for n in range(20)}
        found.played = {name: one.public for name, one in self._rogues.items()}
        self._left = list(self._rogues)
        self._attackers = iter(range(1, 250))

    def rogue(self) -> Stranger:
        """One that did nothing yet."""
        return self._rogues[self._left.pop()]

    def tell(self, one: Stranger, *networks: str, records: list[Any] | None = None) -> None:
        """Its decisions, in its stream and to all that listen."""
        with self.group.switch.inside():
            one.tell(REDIS, *networks, records=records or [])

    def write(self, one: Stranger, *batches: tuple[Any, bytes], stream: str = "") -> None:
        """Anything in a stream."""
        with self.group.switch.inside():
            one.write(REDIS, *batches, stream=stream)

    def say(self, one: Stranger, *messages: bytes) -> None:
        """Anything to all that listen."""
        with self.group.switch.inside():
            one.say(REDIS, *messages)

    def peer(self, one: Stranger, host: Host | None = None) -> dict[str, Any]:
        """What a host shows of it."""
        found = [peer for peer in (host or self.hosts[0]).cluster("peers") if peer["host"] == one.name]
        return found[0] if found else {"refused": {}}

    def refused(self, one: Stranger, **reasons: int) -> None:
        """Wait until each host shows that it refused so much of it."""
        for host in self.hosts:
            until(lambda host=host: not self._lacks(one, host, reasons), 10)  # type: ignore[misc]

    def _lacks(self, one: Stranger, host: Host, reasons: dict[str, int]) -> dict[str, int]:
        shown = self.peer(one, host)["refused"]
        return {reason: n for reason, n in reasons.items() if shown.get(reason, 0) < n}

    def routes(self) -> set[str]:
        """What the kernel of any host refuses."""
        return self.hosts[0].routes() | self.hosts[1].routes()

    def distrust(self, one: Stranger) -> None:
        """Remove its line from `trust` on all hosts."""
        del self.group.played[one.name]
        for host in self.hosts:
            host.configure(self.group.settings(host.name, QUOTA), "maxretry = 3\n")
            host.ask("reload")

    def unknown(self, one: Stranger, host: Host) -> bool:
        """Whether a host refuses as unknown what it tells now."""
        before = host.cluster()["refused"].get("unknown-host", 0)
        self.tell(one, "192.0.2.151")
        time.sleep(0.2)
        return bool(host.cluster()["refused"].get("unknown-host", 0) > before)

    def goes_on(self) -> None:
        """Each host still bans by itself, and tells the other one."""
        for host in self.hosts:
            attacker = f"203.0.113.{next(self._attackers)}"
            host.attack(attacker, 3)
            until(lambda attacker=attacker: self.banned(attacker))  # type: ignore[misc]

    def banned(self, network: str) -> bool:
        """Whether the kernels of all hosts refuse it."""
        return all(network in host.routes() for host in self.hosts)


@contextlib.contextmanager
def two_hosts(root: Path) -> Iterator[Scene]:
    """Two hosts with small quotas, which trust all rogues."""
    with group(root, "mx1", "mx2") as found:
        made = Scene(found)
        found.start("maxretry = 3\n", QUOTA)
        yield made


def again(scene: Scene) -> None:
    """Break the connections of all hosts, and wait until they are connected anew."""
    scene.group.redis.cli("CLIENT", "KILL", "TYPE", "PUBSUB")
    time.sleep(0.3)
    scene.group.connected()
