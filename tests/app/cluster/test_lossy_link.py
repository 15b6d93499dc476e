"""A host behind a link with long round trips that loses packets in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.cluster.group import Group, group
from tests.app.cluster.lossy_link import Link, linked
from tests.app.running import until

pytestmark = pytest.mark.kernel
HERE, THERE, BEHIND, LATER = "203.0.113.7", "198.51.100.9", "203.0.113.8", "203.0.113.9"


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[tuple[Group, Link]]:
    with group(tmp_path, "mx1", "mx2", "mx3") as found:
        link = linked(found, "mx1")
        try:
            found.start("maxretry = 2\n")
            yield found, link
        finally:
            link.close()


def test_a_host_behind_a_long_link_bans_at_once_and_shares_in_both_directions(
    behind: tuple[Group, Link],
) -> None:
    found, link = behind
    far, near, other = found.hosts.values()
    link.delay, link.jitter, link.loss = 0.3, 0.05, 0.05
    far.attack(HERE, 2)
    until(lambda: HERE in far.routes(), 5)
    until(lambda: HERE in near.routes() and HERE in other.routes(), 60)
    near.attack(THERE, 2)
    until(lambda: THERE in far.routes(), 60)
    assert far.cluster()["up"]
    near.attack(BEHIND)
    far.attack(BEHIND)
    until(lambda: all(BEHIND in host.routes() for host in (far, near, other)), 60)
    far.ask("unban", BEHIND)
    until(lambda: not any(BEHIND in host.routes() for host in (near, other)), 60)
    link.delay = link.jitter = link.loss = 0.0
    other.attack(LATER, 2)
    hosts = (far, near, other)
    until(lambda: all(host.routes() == {HERE, THERE, LATER} for host in hosts), 60)
    assert all(host.cluster()["up"] for host in hosts)
    assert link.lost > 0
