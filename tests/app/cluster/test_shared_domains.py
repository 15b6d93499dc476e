"""Refused sender domains: what is changed in the map of one host is in the maps of all."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.cluster.decision_records import domain_key
from sidecar.domains.domain_maps import DomainMaps
from sidecar.domains.refusal import DomainRefusal
from tests.app.cluster.group import group
from tests.app.cluster.local_redis import LocalRedis
from tests.app.cluster.together import CLOSE, HOUR, HostHere, eventually
from tests.app.running import until
from tests.cli.running import zmban


def refuse(host: HostHere, *domains: str, hours: float | None = None, yes: bool = False) -> None:
    end = None if hours is None else time.time() + host.wrong + hours * HOUR
    now = time.time() + host.wrong
    DomainMaps(host.maps).add(domains, reason="fake invoices", until=end, by="anna", now=now, yes=yes)


def accept(host: HostHere, *domains: str) -> None:
    DomainMaps(host.maps).remove(domains)


def entry(host: HostHere, domain: str) -> DomainRefusal | None:
    return next((one for one in DomainMaps(host.maps).refusals() if one.domain == domain), None)


async def have(domains: set[str], *hosts: HostHere) -> bool:
    return await eventually(lambda: all(host.refused_domains().keys() == domains for host in hosts), 5)


def test_a_domain_that_one_host_refuses_is_refused_by_all_with_its_reason_and_its_end(two: Any) -> None:
    async def story(_: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        refuse(mx1, "bad.example", hours=5)
        assert await have({"bad.example"}, mx1, mx2)
        there = entry(mx2, "bad.example")
        assert there is not None and there.until is not None
        assert (there.reason, there.by) == ("fake invoices", "anna@mx1")
        assert abs(there.until - mx2.wrong - time.time() - 5 * HOUR) < CLOSE

    two(story)


def test_a_domain_is_accepted_everywhere_when_any_host_accepts_it_also_one_that_was_away(two: Any) -> None:
    async def story(_: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        refuse(mx1, "bad.example", "worse.example")
        assert await have({"bad.example", "worse.example"}, mx1, mx2)
        accept(mx2, "bad.example")
        assert await have({"worse.example"}, mx1, mx2)
        await mx1.kill(commit=True)
        accept(mx1, "worse.example")
        refuse(mx1, "third.example")
        await mx1.start()
        assert await have({"third.example"}, mx1, mx2)

    two(story)


def test_of_two_ends_the_later_one_counts_and_a_new_one_behind_a_removal_replaces_both(two: Any) -> None:
    async def story(_: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        def ends(host: HostHere) -> float:
            return host.refused_domains().get("bad.example", 0.0) - time.time()

        refuse(mx1, "bad.example", hours=5)
        assert await have({"bad.example"}, mx1, mx2)
        refuse(mx2, "bad.example", hours=9)
        assert await eventually(lambda: abs(ends(mx1) - 9 * HOUR) < CLOSE, 5)
        accept(mx1, "bad.example")
        refuse(mx1, "bad.example", hours=2)
        assert await eventually(lambda: all(abs(ends(host) - 2 * HOUR) < CLOSE for host in (mx1, mx2)), 5)

    two(story)


@pytest.mark.parametrize("again", ["while it runs", "before it starts"])
def test_a_map_that_is_lost_is_filled_again_and_nothing_is_accepted_by_that(two: Any, again: str) -> None:
    async def story(_: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        refuse(mx1, "bad.example")
        refuse(mx2, "worse.example")
        assert await have({"bad.example", "worse.example"}, mx1, mx2)
        if again == "before it starts":
            await mx1.kill(commit=True)
        for path in mx1.maps.iterdir():
            path.unlink()
        await asyncio.sleep(0.3)
        # As the job of each minute, or `zmban domain refresh` for a new volume.
        DomainMaps(mx1.maps).expire(time.time())
        if again == "before it starts":
            await mx1.start()
        assert await have({"bad.example", "worse.example"}, mx1, mx2)

    two(story)


def test_a_volume_that_is_away_accepts_nothing_on_other_hosts(two: Any) -> None:
    async def story(_: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        refuse(mx1, "bad.example")
        assert await have({"bad.example"}, mx1, mx2)
        shutil.move(mx1.maps, mx1.maps.with_name("elsewhere"))
        await asyncio.sleep(0.5)
        assert await have({"bad.example"}, mx2)
        shutil.move(mx1.maps.with_name("elsewhere"), mx1.maps)
        refuse(mx1, "worse.example")
        assert await have({"bad.example", "worse.example"}, mx1, mx2)

    two(story)


def test_each_host_keeps_its_own_domains_and_big_providers_from_its_peers(two: Any) -> None:
    async def story(_: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        refuse(mx1, "mail2.example", "gmail.com", "bad.example", yes=True)
        assert await have({"bad.example"}, mx2)
        assert await eventually(lambda: mx2.member.peer_records()[0]["refused"] == {"domain": 2}, 5)
        assert await have({"bad.example", "gmail.com", "mail2.example"}, mx1)

    two(story)


def test_a_domain_that_becomes_protected_here_stays_refused_there(two: Any) -> None:
    async def story(_: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        refuse(mx1, "bad.example", "worse.example")
        assert await have({"bad.example", "worse.example"}, mx1, mx2)
        settings = mx1.parts.active.settings.domains
        with_more = settings.model_copy(update={"protect": ("bad.example",)})
        mx1.parts.active.settings.__dict__["domains"] = with_more
        await mx1.within(mx1.parts.refused_domains.look())
        assert await have({"worse.example"}, mx1)
        await asyncio.sleep(0.5)
        assert await have({"bad.example", "worse.example"}, mx2)

    two(story)


def test_a_peer_fills_no_map_beyond_its_limit(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.app.cluster.peers.shared_domains._MOST", 50)

    async def story(_: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        refuse(mx1, *(f"bad{n}.example" for n in range(60)))
        assert await eventually(lambda: len(mx2.refused_domains()) == 50, 5)
        assert await eventually(lambda: mx2.member.peer_records()[0]["refused"] == {"quota": 10}, 5)
        # There is room again when some are accepted.
        accept(mx1, *(f"bad{n}.example" for n in range(60)))
        assert await have(set(), mx1, mx2)
        await mx2.domains.prune()
        refuse(mx1, "worse.example")
        assert await have({"worse.example"}, mx1, mx2)

    two(story)


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Any]:
    with group(tmp_path, "mx1", "mx2") as found:
        for name, host in found.hosts.items():
            (tmp_path / f"maps-{name}").mkdir()
            directory = f'[domains]\ndirectory = "{tmp_path}/maps-{name}"\n'
            host.configure(found.settings(name) + directory)
            host.start()
        found.connected()
        yield found


@pytest.mark.kernel
def test_the_command_on_one_host_changes_the_map_of_the_other_one(real: Any, tmp_path: Path) -> None:
    def there() -> str:
        return (tmp_path / "maps-mx2/sender_access.pcre").read_text()

    done = zmban("domain", "add", "bad.example", "--reason", "x", "--directory", f"{tmp_path}/maps-mx1")
    assert done.returncode == 0, done.stderr
    until(lambda: "bad\\.example" in there(), 10)
    done = zmban("domain", "remove", "bad.example", "--directory", f"{tmp_path}/maps-mx1")
    assert done.returncode == 0, done.stderr
    until(lambda: "bad\\.example" not in there(), 10)


def test_a_host_that_ends_before_it_accepts_a_domain_again_does_so_behind_its_restart(two: Any) -> None:
    async def nothing() -> None:
        pass

    async def story(server: LocalRedis, mx1: HostHere, mx2: HostHere) -> None:
        refuse(mx2, "bad.example", "worse.example")
        assert await have({"bad.example", "worse.example"}, mx1, mx2)
        mx1.domains.look = nothing  # type: ignore[method-assign]
        accept(mx2, "bad.example")
        assert await eventually(lambda: domain_key("bad.example") in mx1.claims.lifted, 5)
        await mx1.kill(commit=True)
        # Then only what ended it is told again.
        server.kill()
        server.start()
        await mx1.start()
        assert await have({"worse.example"}, mx1, mx2)

    two(story)
