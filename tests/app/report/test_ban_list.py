"""Long listings: page by page, beside everything else."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sidecar.app.commands.dispatcher import ControlCommands
from sidecar.app.enforce.enforcer import Enforcer
from sidecar.app.report import ban_list
from sidecar.app.service import Service
from sidecar.bans.table import BanTable
from sidecar.kernel.dryrun import DryRunTable
from sidecar.kernel.ingress import Ingress
from sidecar.kernel.plan import Difference
from sidecar.kernel.reading import Routes
from sidecar.kernel.routes import RouteKind
from sidecar.model import Ban
from sidecar.network import Network
from tests.app.running import in_process, service, until
from tests.cli.running import zmban
from tests.netns import Namespace


def bans(number: int, jail: str = "smtp") -> list[Ban]:
    networks = (Network.of(4, (45 << 24 | n).to_bytes(4, "big"), 32) for n in range(number))
    return [Ban(network, jail, 1.0, None, "log", "why", 2, ("line",)) for network in networks]


async def filled(one: Service, number: int) -> ControlCommands:
    one.publish([event for event in map(one.table.ban, bans(number)) if event is not None])
    await one.settled()
    return ControlCommands(one)


async def listed(orders: ControlCommands, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page = await orders.handle("bans", asked)
    while True:
        found += page["bans"]
        if page["next"] is None:
            return found
        page = await orders.handle("bans", {**asked, "after": page["next"], "asked": page["asked"]})


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ban_list, "_ROWS", 7)


async def test_all_pages_together_are_all_bans(host: Namespace, tmp_path: Path) -> None:
    async with in_process(tmp_path) as one:
        orders = await filled(one, 30)
        found = await listed(orders)
        assert [r["network"] for r in found] == [str(b.network) for b in bans(30)]
        assert all(r["enforced"] and r["evidence"] == ["line"] for r in found)
        assert all(not r["evidence"] for r in await listed(orders, lines=False))
        assert await listed(orders, jail="other") == []
        (covering,) = await listed(orders, contains="45.0.0.3")
        assert covering["network"] == "45.0.0.3/32"


async def test_what_changes_between_two_pages_disturbs_none_of_them(host: Namespace, tmp_path: Path) -> None:
    async with in_process(tmp_path) as one:
        orders = await filled(one, 20)
        page = await orders.handle("bans", {})
        await orders.handle("unban", {"networks": ["45.0.0.0/32", "45.0.0.9/32"]})
        await orders.handle("ban", {"networks": ["203.0.113.7"], "reason": "x"})
        rest = await listed(orders, after=page["next"])
        names = [r["network"] for r in page["bans"] + rest]
        assert len(set(names)) == len(names)
        assert set(names) == {str(b.network) for b in bans(20)} - {"45.0.0.9/32"} | {"203.0.113.7/32"}


async def test_a_route_that_is_missing_is_seen_and_the_kernel_is_read_once_for_all(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with in_process(tmp_path) as one:
        orders = await filled(one, 30)
        host.ip("route", "del", "blackhole", "45.0.0.4", "table", "2520")
        read, present = 0, one.enforcer.present

        def counted() -> Any:
            nonlocal read
            read += 1
            return present()

        monkeypatch.setattr(one.enforcer, "present", counted)
        every = await asyncio.gather(*(listed(orders) for _ in range(50)))
        assert all([r["network"] for r in found if not r["enforced"]] == ["45.0.0.4/32"] for found in every)
        assert read <= 2


async def test_as_long_as_nothing_can_be_written_memory_is_listed(
    host: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with in_process(tmp_path) as one:
        orders = await filled(one, 30)
        one.ledger.failing = "the disk is full"
        monkeypatch.setattr(one.ledger, "commit", lambda: asyncio.sleep(0, "the disk is full"))
        assert len(await listed(orders)) == 30
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


async def test_a_stop_in_the_middle_of_a_reconcile_undoes_no_ban(tmp_path: Path) -> None:
    """The reconcile works with an older wish, and its thread cannot be stopped."""
    begun, go = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    class Slow(DryRunTable):
        def differs(self, wanted: Routes) -> Difference:
            loop.call_soon_threadsafe(begun.set)
            asyncio.run_coroutine_threadsafe(go.wait(), loop).result(10)
            return super().differs(wanted)

    backend, table = Slow(), BanTable()
    enforcer = Enforcer(backend, backend, tmp_path, lambda: 0, Ingress("off"))
    running = asyncio.create_task(enforcer.reconcile(table))
    await begun.wait()
    new, gone = bans(2)
    assert enforcer.ban([new.network]) == 1
    running.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert backend.present().get(new.network) is RouteKind.BLACKHOLE
    assert gone.network not in backend.present()
