"""Long listings are answered in pages, without blocking the service."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sidecar.app.report import ban_list
from sidecar.model import Ban
from sidecar.network import Network
from tests.app.running import InProcess, in_process, service, until
from tests.cli.running import zmban
from tests.netns import Namespace


def bans(number: int, jail: str = "smtp") -> list[Ban]:
    networks = (Network.of(4, (45 << 24 | n).to_bytes(4, "big"), 32) for n in range(number))
    return [Ban(network, jail, 1.0, None, "log", "why", 2, ("line",)) for network in networks]


async def filled(one: InProcess, number: int) -> None:
    one.ban(*bans(number))
    await one.settled()


async def listed(one: InProcess, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page = await one.tell("bans", **asked)
    while True:
        found += page["bans"]
        if page["next"] is None:
            return found
        page = await one.tell("bans", **asked | {"after": page["next"], "asked": page["asked"]})


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ban_list, "_ROWS", 7)


async def test_all_pages_together_are_all_bans(host: Namespace, tmp_path: Path) -> None:
    async with in_process(tmp_path) as one:
        await filled(one, 30)
        found = await listed(one)
        assert [r["network"] for r in found] == [str(b.network) for b in bans(30)]
        assert all(r["enforced"] and r["evidence"] == ["line"] for r in found)
        assert all(not r["evidence"] for r in await listed(one, lines=False))
        assert await listed(one, jail="other") == []
        (covering,) = await listed(one, contains="45.0.0.3")
        assert covering["network"] == "45.0.0.3/32"


async def test_what_changes_between_two_pages_disturbs_none_of_them(host: Namespace, tmp_path: Path) -> None:
    async with in_process(tmp_path) as one:
        await filled(one, 20)
        page = await one.tell("bans")
        await one.tell("unban", networks=["45.0.0.0/32", "45.0.0.9/32"])
        await one.tell("ban", networks=["203.0.113.7"], reason="x")
        rest = await listed(one, after=page["next"])
        names = [r["network"] for r in page["bans"] + rest]
        assert len(set(names)) == len(names)
        assert set(names) == {str(b.network) for b in bans(20)} - {"45.0.0.9/32"} | {"203.0.113.7/32"}


async def test_a_route_that_is_missing_is_seen_and_the_kernel_is_read_once_for_all(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with in_process(tmp_path) as one:
        await filled(one, 30)
        host.ip("route", "del", "blackhole", "45.0.0.4", "table", "2520")
        read, present = 0, one.enforcer.banned_in_kernel

        async def counted() -> set[Network]:
            nonlocal read
            read += 1
            return await present()

        monkeypatch.setattr(one.enforcer, "banned_in_kernel", counted)
        every = await asyncio.gather(*(listed(one) for _ in range(50)))
        assert all([r["network"] for r in found if not r["enforced"]] == ["45.0.0.4/32"] for found in every)
        assert read <= 2


async def test_as_long_as_nothing_can_be_written_memory_is_listed(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with in_process(tmp_path) as one:
        await filled(one, 30)
        one.commit_queue.failing = "the disk is full"
        monkeypatch.setattr(one.commit_queue, "commit", lambda: asyncio.sleep(0, "the disk is full"))
        assert len(await listed(one)) == 30
        monkeypatch.undo()


def test_people_and_programs_get_the_same_list(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        for number in range(3):
            running.attack(f"198.51.100.{number + 1}")

        until(lambda: len(running.banned()) == 3)
        shown = zmban("bans", "--socket", running.socket)
        assert shown.returncode == 0, shown.stderr
        lines = shown.stdout.splitlines()
        assert lines[0].split() == ["network", "jail", "since", "until", "enforced", "reason"]
        assert lines[-1] == "3 bans"
        assert {line.split()[0] for line in lines[1:-1]} == running.banned()
        running.stop()
        offline = zmban("bans", "--socket", running.socket, "--state", running.state)
        assert "3 bans" in offline.stdout.splitlines()


async def test_a_ban_inside_an_enforced_wider_one_says_so_unless_it_does_not_stand_itself(
    host: Namespace, tmp_path: Path
) -> None:
    async with in_process(tmp_path) as one:
        await filled(one, 10)
        await one.tell("ban", networks=["45.0.0.0/24", "45.0.0.200"], reason="all of it")
        await one.tell("allow", networks=["45.0.0.3"], reason="a customer")
        dry = Ban(Network.parse("45.0.0.4"), "trial", 1.0, None, "log", dry=True)
        one.ban(dry)
        told = {(r["network"], r["jail"]): (r["folded_into"], r["folded"]) for r in await listed(one)}
        assert told.pop(("45.0.0.0/24", "manual")) == (None, 10)
        assert told.pop(("45.0.0.3/32", "smtp")) == told.pop(("45.0.0.4/32", "trial")) == (None, 0)
        assert set(told.values()) == {("45.0.0.0/24", 0)} and len(told) == 10
        assert (await one.tell("bans", contains="45.0.0.5"))["bans"][0]["folded_into"] == "45.0.0.0/24"
        await one.tell("unban", networks=["45.0.0.0/24"])
        assert {r["folded_into"] for r in await listed(one)} == {None}


def test_the_table_folds_what_is_inside_and_counts_it_with_and_without_a_service(
    host: Namespace, tmp_path: Path
) -> None:
    def shown(*options: str) -> list[str]:
        places = ("--socket", running.socket, "--state", running.state)
        done = zmban("bans", *options, *places)
        assert done.returncode == 0, done.stderr
        return [line for line in done.stdout.splitlines()[1:] if not line.startswith("not enforced")]

    with service(tmp_path) as running:
        single = [f"203.0.113.{number}" for number in range(1, 6)]
        running.ask("ban", *single, "198.51.100.7", "--reason", "x")
        running.ask("ban", "203.0.113.0/24", "--reason", "y", "--yes")
        for _ in ("with", "without"):
            other, wide, count, folded = shown()
            assert other.startswith("198.51.100.7/32  ")
            assert wide.startswith("203.0.113.0/24 + 5 inside  ")
            assert (count, folded) == ("7 bans", "5 of them inside bans of wider networks; --all shows them")
            assert [len(shown(*all_of)) for all_of in (("--all",), ("--jail", "manual"))] == [8, 8]
            assert [line.split()[0] for line in shown("--contains", single[0])[:-1]] == [
                f"{single[0]}/32",
                "203.0.113.0/24",
            ]
            if running.process and running.process.poll() is None:
                running.stop()
