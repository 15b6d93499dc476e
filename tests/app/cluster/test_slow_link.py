"""A host behind a slow link that loses packets."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.app.cluster.group import group
from tests.app.running import until

pytestmark = pytest.mark.kernel
HERE, THERE, BEHIND = "203.0.113.7", "198.51.100.9", "203.0.113.8"
MANY = {f"100.64.{n // 200}.{n % 200 + 1}" for n in range(3000)}


def test_a_host_behind_a_slow_link_bans_at_once_and_shares_as_the_link_allows(tmp_path: Path) -> None:
    with group(tmp_path, "mx1", "mx2") as found:
        found.start("maxretry = 2\n")
        far, near = found.hosts["mx1"], found.hosts["mx2"]
        found.slow("mx1", "512kbit")
        # Half a megabyte, which takes eight seconds.
        near.ask("ban", *MANY, "--reason", "a test")
        begun = time.monotonic()
        far.attack(HERE, 2)
        until(lambda: HERE in far.routes(), 5)
        alone = time.monotonic() - begun
        until(lambda: HERE in near.routes(), 60)
        # It waited for nothing that has to pass the link.
        assert alone < time.monotonic() - begun
        near.attack(THERE, 2)
        until(lambda: far.routes() >= {THERE, *MANY}, 90)
        near.attack(BEHIND)
        far.attack(BEHIND)
        until(lambda: BEHIND in near.routes() and BEHIND in far.routes(), 60)
        far.ask("unban", BEHIND)
        until(lambda: far.routes() == near.routes() == {HERE, THERE, *MANY}, 60)
