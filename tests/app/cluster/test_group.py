"""Hosts that share bans and counts, each with its own kernel and a real Redis between them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.cluster.group import Group, group
from tests.app.running import until

pytestmark = pytest.mark.kernel
ROOT = Path(__file__).parents[3]
EVIL = "203.0.113.7"


@pytest.fixture
def five(tmp_path: Path) -> Iterator[Group]:
    with group(tmp_path, "mx1", "mx2", "mx3", "mx4", "mx5") as found:
        found.start("maxretry = 5\n")
        yield found


def test_one_try_on_each_of_five_hosts_bans_on_all_of_them(five: Group) -> None:
    hosts = list(five.hosts.values())
    for host in hosts[:4]:
        host.attack(EVIL)
    time.sleep(1)
    assert [host.routes() for host in hosts] == [set()] * 5
    hosts[4].attack(EVIL)
    until(lambda: [host.routes() for host in hosts] == [{EVIL}] * 5, 5)
    for host in hosts[:4]:
        (ban,) = host.ask("bans")
        assert (ban["origin"], ban["by"], ban["jail"], ban["failures"]) == ("cluster", "mx5", "smtp", 5)
    (ban,) = hosts[4].ask("bans")
    assert (ban["origin"], ban["failures"]) == ("log", 5)
    until(lambda: hosts[0].explain(EVIL)["bans"][0]["evidence"] != [], 5)
    (ban,) = hosts[0].explain(EVIL)["bans"]
    assert EVIL in ban["evidence"][0] and ban["by"] == "mx5"


def test_an_unban_on_one_host_lifts_on_all_and_the_network_starts_from_nothing(five: Group) -> None:
    hosts = list(five.hosts.values())
    hosts[0].attack(EVIL, 5)
    until(lambda: [host.routes() for host in hosts] == [{EVIL}] * 5, 5)
    hosts[2].ask("unban", EVIL)
    until(lambda: [host.routes() for host in hosts] == [set()] * 5, 5)
    for host in hosts[:4]:
        host.attack(EVIL)
    time.sleep(1)
    assert [host.routes() for host in hosts] == [set()] * 5


def test_the_demonstration_shows_the_attacker_refused_by_all_three_hosts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo.cluster"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 tries in all, at most 2 on one host; all hosts refuse the attacker" in done.stdout


def test_without_a_cluster_nothing_of_it_is_imported() -> None:
    text = "import sidecar.app.doors, sidecar.app.daemon, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = ("redis", "cryptography", "sidecar.cluster", "sidecar.app.cluster")
    assert not [name for name in done.stdout.split() if name.startswith(heavy)]
