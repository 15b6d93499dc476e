"""Sentinel with a failover, and a Redis cluster of three shards."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.cluster.group import REDIS, Group, Redis, group
from tests.app.cluster.test_redis_access import acl
from tests.app.running import until
from tests.netns import program

pytestmark = pytest.mark.kernel
SENTINEL = 26379


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Group, Redis]]:
    """A master (the server of the group), a replica, and a Sentinel that watches both."""
    with group(tmp_path, "mx1", "mx2") as found:
        replica = Redis(tmp_path / "replica", found.switch, f"replicaof {REDIS} 6379", port=6390)
        until(lambda: "master_link_status:up" in replica.cli("INFO", "replication"))
        sentinel = sentinel_in(found, tmp_path)
        try:
            more = f'url = "redis+sentinel://{REDIS}:{SENTINEL}/mymaster"\nuser = "{{0}}"\npassword_file = "{{1}}"\n'
            for name, host in found.hosts.items():
                password = host.running.root / "password"
                password.write_text("secret")
                password.chmod(0o600)
                for server in (found.redis, replica):
                    assert server.cli(*acl(name, "secret")) == "OK"
                line = ["ACL", "SETUSER", name, "on", ">secret", "-@all", "+sentinel|masters"]
                assert found.redis.cli("-p", str(SENTINEL), *line) == "OK"
                host.configure(found.settings(name, more.format(name, password)), "maxretry = 2\n")
                host.start()
            found.connected()
            yield found, replica
        finally:
            replica.stop()
            sentinel.kill()
            sentinel.wait(20)


def sentinel_in(found: Group, place: Path) -> subprocess.Popen[bytes]:
    (place / "sentinel").mkdir()
    file = place / "sentinel/sentinel.conf"
    lines = [f"port {SENTINEL}", f"bind {REDIS} 127.0.0.1", "protected-mode no", f"dir {place}/sentinel",
             f"sentinel monitor mymaster {REDIS} 6379 1", "sentinel down-after-milliseconds mymaster 1000",
             "sentinel failover-timeout mymaster 5000"]  # fmt: skip
    file.write_text("\n".join(lines) + "\n")
    with found.switch.inside(), (place / "sentinel/log").open("wb") as log:
        started = subprocess.Popen(
            [program("redis-server", "redis-server"), str(file), "--sentinel"], stdout=log, stderr=log
        )
    until(lambda: "slaves=1" in found.redis.cli("-p", str(SENTINEL), "INFO", "sentinel", check=False))
    return started


def banned(found: Group, *networks: str) -> None:
    hosts = found.hosts.values()
    until(lambda: all(set(networks) <= host.routes() for host in hosts), 40)


def together(found: Group, network: str) -> None:
    """One try on each of two hosts bans on both."""
    first, second = found.hosts.values()
    first.attack(network, 1)
    until(lambda: first.cluster()["to_count"] == 0)
    second.attack(network, 1)
    banned(found, network)


def test_hosts_go_on_when_the_master_is_killed_and_converge_on_the_new_one(
    watched: tuple[Group, Redis],
) -> None:
    found, replica = watched
    first, second = found.hosts.values()
    together(found, "203.0.113.1")
    found.redis.stop()
    first.attack("203.0.113.2", 2)
    second.attack("203.0.113.3", 2)
    until(lambda: "203.0.113.2" in first.routes() and "203.0.113.3" in second.routes())
    until(lambda: "role:master" in replica.cli("INFO", "replication"), 40)
    banned(found, "203.0.113.1", "203.0.113.2", "203.0.113.3")
    first.ask("unban", "203.0.113.3")
    until(lambda: "203.0.113.3" not in second.routes())
    together(found, "203.0.113.4")
    assert int(replica.cli("XLEN", "zmban:zmban:s:mx1")) > 0


@pytest.fixture
def sharded(tmp_path: Path) -> Iterator[tuple[Group, list[Redis]]]:
    with group(tmp_path, "mx1", "mx2", "mx3") as found:
        shards: list[Redis] = []
        try:
            for port in (7001, 7002, 7003):
                options = (
                    "cluster-enabled yes",
                    "cluster-node-timeout 2000",
                    "cluster-require-full-coverage yes",
                )
                shards.append(Redis(tmp_path / str(port), found.switch, *options, port=port))
            nodes = [f"{REDIS}:{shard.port}" for shard in shards]
            created = shards[0].cli("--cluster", "create", *nodes, "--cluster-replicas", "0", "--cluster-yes")
            assert "All 16384 slots covered" in created
            until(lambda: all("cluster_state:ok" in shard.cli("CLUSTER", "INFO") for shard in shards))
            yield found, shards
        finally:
            for shard in shards:
                shard.stop()


def test_hosts_count_and_ban_together_over_a_redis_cluster_of_three_shards(
    sharded: tuple[Group, list[Redis]],
) -> None:
    found, shards = sharded
    url = f'url = "redis+cluster://{REDIS}:7001,{REDIS}:7002"\n'
    for name, host in found.hosts.items():
        password = host.running.root / "password"
        password.write_text("secret")
        password.chmod(0o600)
        for shard in shards:
            assert shard.cli(*acl(name, "secret", *CLUSTER_RIGHTS)) == "OK"
        more = f'{url}user = "{name}"\npassword_file = "{password}"\n'
        host.configure(found.settings(name, more), "maxretry = 3\n")
        host.start()
    found.connected()
    evil = [f"203.0.113.{number}" for number in range(1, 13)]
    for host in found.hosts.values():
        for network in evil:
            host.attack(network, 1)
    banned(found, *evil)
    assert {
        shard.port for shard in shards if "zmban" in shard.cli("KEYS", "*") or shard.cli("DBSIZE") != "0"
    } != set()
    found.hosts["mx2"].ask("unban", evil[0])
    until(lambda: not any(evil[0] in host.routes() for host in found.hosts.values()))
    shards[2].stop()
    for number, host in enumerate(found.hosts.values()):
        host.attack(f"198.51.100.{number}", 3)
        until(lambda host=host, number=number: f"198.51.100.{number}" in host.routes())  # type: ignore[misc]
    until(lambda: any(host.cluster()["failing"] for host in found.hosts.values()), 30)
    shards[2].start()
    for name in found.hosts:
        assert shards[2].cli(*acl(name, "secret", *CLUSTER_RIGHTS)) == "OK"
    banned(found, *evil[1:], *(f"198.51.100.{number}" for number in range(3)))


CLUSTER_RIGHTS = ("+cluster|slots", "+command")
