"""Hosts that share decisions, through any sequence of faults: at the end all have what a simple model says.

The model knows the decisions of all hosts with their stamps: of a subject the longest ban behind the last
unban counts. ZMBAN_MODELS=500 runs as many sequences; by default there are a few.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.cluster.claims import Key
from sidecar.cluster.decision_records import allowed_key, ban_key, domain_key
from sidecar.domains.domain_maps import DomainMaps
from sidecar.domains.refusal import DomainAnswer
from sidecar.model import Ban
from sidecar.network import Network, PrefixSet
from tests.app.cluster.local_redis import LocalRedis, local_redis
from tests.app.cluster.model import Decision, Model, same
from tests.app.cluster.together import HostHere, eventually, hasten, together

FIRST = int(os.environ.get("ZMBAN_MODELS_FROM", "0"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("ZMBAN_MODELS", "20")))
ADDRESSES = ["203.0.113.1", "203.0.113.2", "198.51.100.1", "198.51.100.2", "192.0.2.1", "192.0.2.2"]
DOMAINS = ["bad.example", "mail.bad.example", "worse.example", "mail1.example"]
ALLOWED = ["198.51.100.1", "198.51.100.0/30"]
JAILS = ["smtp", "manual"]
FOREVER = float("inf")


class Play:
    """One sequence."""

    def __init__(self, seed: int, server: LocalRedis, hosts: list[HostHere]) -> None:
        self.chance, self.server, self.hosts, self.model = random.Random(seed), server, hosts, Model()
        self.told: list[str] = []
        # Each end differs from all others by more than what is not compared.
        self._ends: Iterator[int] = iter(self.chance.sample(range(20, 400), 300))
        # The decisions of each host that a crash may still lose.
        self.uncommitted: dict[str, list[Decision]] = {host.name: [] for host in hosts}
        self.faults = {
            self.kill: 2, self.restart: 3, self.cut: 2, self.mend: 3, self.empty: 1, self.pause: 1,
            self.refuse_writes: 1, self.go_on: 2,
        }  # fmt: skip
        self.decisions = {
            self.log_ban: 4, self.ban: 6, self.unban: 6, self.import_: 2, self.allow: 2, self.disallow: 2,
            self.refuse_domain: 2, self.accept_domain: 2,
        }  # fmt: skip

    async def act(self) -> None:
        """One action, and a moment."""
        actions = self.decisions if self.chance.random() < 0.65 else self.faults
        (action,) = self.chance.choices(list(actions), list(actions.values()))
        await action()
        await asyncio.sleep(self.chance.choice([0, 0, 0.01, 0.05, 0.2]))

    def say(self, *what: Any) -> None:
        """Note what happened, for whoever reads a failure."""
        self.told.append(" ".join(map(str, what)))

    def _host(self) -> HostHere | None:
        return self.chance.choice([host for host in self.hosts if host.here] or [None])

    def _until(self, host: HostHere) -> float | None:
        if self.chance.random() < 0.1:
            return None
        return time.time() + host.wrong + next(self._ends) * 1000.0

    async def _decide(self, host: HostHere, keys: list[Key], work: Any, *, committed: bool = True) -> None:
        claims = host.claims
        before = {key: (claims.lifted.get(key), claims.standing(key)) for key in keys}
        await work
        new: list[Decision] = []
        for key in keys:
            lifted, standing = before[key]
            if (stamp := claims.lifted.get(key)) and stamp.host == host.name and stamp != lifted:
                new.append(Decision(key, stamp, None))
            new += [
                Decision(key, one.stamp, FOREVER if one.until is None else one.until)
                for one in claims.standing(key) if one.stamp.host == host.name and one not in standing
            ]  # fmt: skip
        self.say(host.name, *new)
        self.model.found += new
        self.uncommitted[host.name] = [] if committed else [*self.uncommitted[host.name], *new]

    async def log_ban(self) -> None:
        if host := self._host():
            network, now = Network.parse(self.chance.choice(ADDRESSES)), time.time() + host.wrong
            at = now - self.chance.choice([0, 0, 3000])
            ban = Ban(network, "smtp", at, self._until(host), "log", "failures", 3)
            if host.parts.protection.refuse(network, "smtp") is None and host.here:
                work = host.within(_as_coroutine(host.here.ban, ban))
                await self._decide(host, [ban_key(network, "smtp")], work, committed=False)

    async def ban(self) -> None:
        if (host := self._host()) and host.here:
            network = self.chance.choice(ADDRESSES)
            arguments = {"reason": "by hand", "until": self._until(host), "yes": True}
            work = host.within(host.here.tell("ban", networks=[network], **arguments))
            await self._decide(host, [ban_key(Network.parse(network), "manual")], work)

    async def import_(self) -> None:
        if (host := self._host()) and host.here:
            network, at = self.chance.choice(ADDRESSES), time.time() + host.wrong - 86400
            record = {"network": network, "jail": "smtp", "at": at, "until": self._until(host),
                      "reason": "elsewhere", "failures": 1, "count": 1, "evidence": (), "current": True}  # fmt: skip
            work = host.within(host.here.tell("import", records=[record]))
            await self._decide(host, [ban_key(Network.parse(network), "smtp")], work)

    async def unban(self) -> None:
        if (host := self._host()) and host.here:
            network = Network.parse(self.chance.choice(ADDRESSES))
            keys = [ban_key(network, jail) for jail in JAILS]
            ends = {
                ban_key(ban.network, ban.jail): host.true(ban.until) for ban in host.table.all_of(network)
            }
            work = host.within(host.here.tell("unban", networks=[str(network)]))
            await self._decide(host, keys, work)
            for key, end in ends.items():
                # What the host saw is lifted, whatever its clock says.
                last = max(one.stamp for one in self.model.found if one.key == key and one.until is None)
                seen = [one for one in self.model.found if one.key == key and same(one.until, end)]
                assert end == FOREVER or all(one.stamp < last for one in seen), (seen, last)

    async def allow(self) -> None:
        if (host := self._host()) and host.here:
            network = self.chance.choice(ALLOWED)
            arguments = {"reason": "a customer", "until": self._until(host)}
            work = host.within(host.here.tell("allow", networks=[network], **arguments))
            await self._decide(host, [allowed_key(Network.parse(network))], work)

    async def disallow(self) -> None:
        if (host := self._host()) and host.here:
            network = self.chance.choice(ALLOWED)
            work = host.within(host.here.tell("disallow", networks=[network]))
            await self._decide(host, [allowed_key(Network.parse(network))], work)

    async def refuse_domain(self) -> None:
        if (host := self._host()) and host.here:
            domain, until, now = self.chance.choice(DOMAINS), self._until(host), time.time() + host.wrong
            await self._change_map(
                host, domain, lambda maps: maps.add([domain], reason="by hand", until=until, now=now)
            )

    async def accept_domain(self) -> None:
        if (host := self._host()) and host.here:
            domain = self.chance.choice(DOMAINS)
            await self._change_map(host, domain, lambda maps: maps.remove([domain]))

    async def _change_map(
        self, host: HostHere, domain: str, change: Callable[[DomainMaps], list[DomainAnswer]]
    ) -> None:
        """As `zmban domain` does it in another process."""

        async def work() -> None:
            change(DomainMaps(host.maps, [f"mail{host.name.removeprefix('mx')}.example"]))
            await host.look()
            await host.parts.commit_queue.commit()

        await self._decide(host, [domain_key(domain)], host.within(work()))

    async def kill(self) -> None:
        if host := self._host():
            commit = self.chance.random() < 0.5
            self.say("kill", host.name, commit)
            await host.kill(commit=commit)
            if not commit:
                lost = self.uncommitted[host.name]
                self.model.found = [d._replace(sure=False) if d in lost else d for d in self.model.found]
            self.uncommitted[host.name] = []

    async def restart(self) -> None:
        for host in self.hosts:
            if host.here is None and self.chance.random() < 0.7:
                self.say("restart", host.name)
                await host.start()

    async def cut(self) -> None:
        ways = self.chance.choice([("in", "out"), ("in",), ("out",)])
        host = self.chance.choice(self.hosts)
        self.say("cut", host.name, *ways)
        host.wire.cut(*ways)

    async def mend(self) -> None:
        host, drop = self.chance.choice(self.hosts), self.chance.random() < 0.5
        self.say("mend", host.name, drop)
        host.wire.mend(drop=drop)

    async def empty(self) -> None:
        self.say("Redis comes back empty")
        self.server.kill()
        await asyncio.sleep(self.chance.choice([0, 0.1]))
        self.server.start()

    async def pause(self) -> None:
        self.say("Redis stands still")
        self.server.pause()

    async def refuse_writes(self) -> None:
        if not self.server.stopped:
            commands = [("CONFIG", "SET", "maxmemory", "1"), ("REPLICAOF", "127.0.0.1", "1")]
            command = self.chance.choice(commands)
            self.say(*command)
            self.server.ask(*command)

    async def go_on(self) -> None:
        self.say("Redis goes on")
        self.server.go_on()
        self.server.ask("CONFIG", "SET", "maxmemory", "0")
        self.server.ask("REPLICAOF", "NO", "ONE")

    async def mend_all(self) -> None:
        """End all faults."""
        await self.go_on()
        for host in self.hosts:
            host.wire.mend(drop=True)
            if host.here is None:
                await host.start()

    def differences(self) -> list[str]:
        """What is not as the model says."""
        found: list[str] = []
        allowed = {n: self.model.outcomes(allowed_key(n)) for n in map(Network.parse, ALLOWED)}
        spared = PrefixSet(n for n, ends in allowed.items() if any(ends))
        for host in self.hosts:
            bans, lets = host.bans(), host.allowed()
            found += [f"{host.name} allows {n} until {lets.get(n)}, not {ends}"
                      for n, ends in allowed.items() if not any(same(one, lets.get(n)) for one in ends)]  # fmt: skip
            for address, jail in itertools.product(ADDRESSES, JAILS):
                network = Network.parse(address)
                if spared.covering(network):
                    continue
                protected = host.parts.protection.refuse(network) is not None
                ends = [None] if protected else self.model.outcomes(ban_key(network, jail))
                end = bans.get((network, jail))
                if not any(same(one, end) for one in ends):
                    found.append(f"{host.name} bans {address} in {jail} until {end}, not {ends}")
            found += self._wrong_domains(host)
            found += [f"{host.name} refuses {n}" for n in host.refused() if host.parts.protection.refuse(n)]
        return found

    def _wrong_domains(self, host: HostHere) -> list[str]:
        refused, own = host.refused_domains(), f"mail{host.name.removeprefix('mx')}.example"
        wanted = {
            domain: [None] if domain == own else self.model.outcomes(domain_key(domain)) for domain in DOMAINS
        }
        return [
            f"{host.name} refuses mail from {domain} until {refused.get(domain)}, not {ends}"
            for domain, ends in wanted.items()
            if not any(same(one, refused.get(domain)) for one in ends)
        ]


async def _as_coroutine(work: Any, *arguments: Any) -> None:
    work(*arguments)


async def play(seed: int, root: Path, server: LocalRedis) -> None:
    chance = random.Random(seed)
    clocks = {f"mx{n}": chance.choice([0.0, 3600.0, -3600.0]) for n in range(1, chance.randint(3, 5) + 1)}
    async with together(root, server.port, clocks) as hosts:
        assert await eventually(lambda: all(host.member.up for host in hosts))
        one = Play(seed, server, hosts)
        try:
            for _ in range(chance.randint(15, 40)):
                await one.act()
            await one.mend_all()
            await eventually(lambda: all(host.member.up for host in hosts) and not one.differences())
            assert not (found := one.differences()), "\n".join(found)
        except AssertionError as error:
            told = "\n".join(one.told)
            raise AssertionError(
                f"ZMBAN_MODELS_FROM={seed} ZMBAN_MODELS=1 shows it\n{told}\n{error}"
            ) from None


@pytest.mark.parametrize("seed", SEEDS)
def test_after_any_faults_all_hosts_have_what_was_decided(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasten(monkeypatch)
    with local_redis(tmp_path) as server:
        asyncio.run(play(seed, tmp_path, server))
