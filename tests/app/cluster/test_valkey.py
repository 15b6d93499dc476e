"""Hosts that share bans over a real Valkey, each as the user that docs/cluster.md gives it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.app.cluster.group import Group, group, valkey
from tests.app.cluster.test_redis_access import denied, secured
from tests.app.running import until

pytestmark = pytest.mark.kernel
EVIL, BY_HAND = "203.0.113.7", "198.51.100.9"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    with group(tmp_path_factory.mktemp("valkey"), "mx1", "mx2", "mx3", server=valkey) as found:
        secured(found)
        for host in found.hosts.values():
            (host.running.root / "config/jail.local").write_text("[smtp]\nmaxretry = 3\n")
            host.start()
        found.connected()
        yield found


def everywhere(found: Group, *networks: str) -> bool:
    return all(host.routes() == set(networks) for host in found.hosts.values())


@pytest.fixture(autouse=True)
def nothing_is_denied_and_nothing_stays_banned(three: Group) -> Iterator[None]:
    assert three.redis.cli("ACL", "LOG", "RESET") == "OK"
    yield
    assert denied(three) == []
    three.hosts["mx1"].ask("unban", EVIL, BY_HAND)
    until(lambda: everywhere(three))


def test_the_server_is_valkey(three: Group) -> None:
    assert "valkey_version:" in three.redis.cli("INFO", "server")


def test_one_try_on_each_of_three_hosts_bans_on_all_of_them(three: Group) -> None:
    first, second, third = three.hosts.values()
    first.attack(EVIL, 1)
    second.attack(EVIL, 1)
    time.sleep(1)
    assert everywhere(three)
    third.attack(EVIL, 1)
    until(lambda: everywhere(three, EVIL))
    (ban,) = first.ask("bans")
    assert (ban["origin"], ban["by"], ban["failures"]) == ("cluster", "mx3", 3)


def test_a_ban_and_an_unban_on_one_host_are_on_the_others(three: Group) -> None:
    first, second, _ = three.hosts.values()
    first.ask("ban", BY_HAND, "--reason", "a test")
    until(lambda: everywhere(three, BY_HAND))
    second.ask("unban", BY_HAND)
    until(lambda: everywhere(three))
