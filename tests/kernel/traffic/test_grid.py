"""What a ban refuses: every family, place, kind of traffic and setting of rp_filter, with and without our rule
on the way in. The table in docs/enforcement.md is what was counted here."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.kernel.backend import Entry
from sidecar.kernel.route.ingress import Ingress, Mode
from sidecar.kernel.route.routing_table import RoutingTable
from sidecar.network import Network
from tests.kernel.entries import put
from tests.kernel.traffic.grid import CELLS, CLIENTS, SERVER, Cell, Grid
from tests.netns import Namespace

pytestmark = pytest.mark.kernel

DOCUMENT = Path(__file__).parents[3] / "docs/enforcement.md"
BEGIN, END = "<!-- grid:begin -->\n", "<!-- grid:end -->\n"
SETTINGS: list[tuple[int, Mode]] = list(itertools.product((0, 1, 2), ("auto", "off")))
# Enough for the first packet and its answer many times over, and for the first that is sent again.
SETTLE = 0.5

Packets = tuple[int, int]
Seen = dict[Cell, Packets]


@pytest.fixture(scope="module")
def measured() -> Iterator[dict[tuple[int, Mode], Seen]]:
    """Packets that arrived and that came back, under each setting."""
    host = Namespace()
    try:
        with host.inside(), contextlib.closing(Grid(host)) as grid:
            yield {setting: talk(grid, *setting) for setting in SETTINGS}
    finally:
        host.remove()


def talk(grid: Grid, reverse_path_filter: int, mode: Mode) -> Seen:
    """Open the connections that shall stand, ban, and send everything."""
    grid.settle(reverse_path_filter)
    with contextlib.closing(RoutingTable()) as table, contextlib.ExitStack() as stack:
        clients = {cell: stack.enter_context(grid.client(cell)) for cell in CELLS}
        stack.callback(table.flush)
        table.ensure_rules()
        banned = [Network.parse(address).unit() for (_, who), address in CLIENTS.items() if who == "banned"]
        put(table, dict.fromkeys(banned, Entry.BAN))
        ingress = Ingress(mode)
        stack.callback(ingress.remove)
        ingress.ensure()
        before = grid.counted()
        for cell, client in clients.items():
            speak(client, cell)
        time.sleep(SETTLE / 2)
        grid.answer()
        time.sleep(SETTLE / 2)
        grown = {name: packets - before[name] for name, packets in grid.counted().items()}
        return {cell: (grown[cell.counter("arrived")], grown[cell.counter("returned")]) for cell in CELLS}


def speak(client: socket.socket, cell: Cell) -> None:
    """Ask for a connection, use the one that stands, or send a datagram."""
    client.setblocking(False)
    if cell.kind != "established":
        with contextlib.suppress(BlockingIOError):
            client.connect((SERVER[cell.version], cell.port))
    if cell.kind != "new":
        client.send(b"x")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: f"rp_filter={setting[0]}-{setting[1]}")
def test_a_ban_refuses_the_banned_and_nobody_else(
    measured: dict[tuple[int, Mode], Seen], setting: tuple[int, Mode]
) -> None:
    reverse_path_filter, mode = setting
    for cell, (arrived, returned) in measured[setting].items():
        dropped_on_the_way_in = mode == "auto" or (cell.version == 4 and reverse_path_filter > 0)
        banned = cell.who == "banned"
        assert (arrived > 0) is not (banned and dropped_on_the_way_in), (cell, arrived)
        assert (returned > 0) is not banned, (cell, returned)


def test_the_document_says_what_was_counted(measured: dict[tuple[int, Mode], Seen]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    now = f"{head}{BEGIN}{table(measured)}{END}{tail}"
    if now != text:
        DOCUMENT.write_text(now, encoding="utf-8")
        pytest.fail(f"{DOCUMENT.name} said otherwise and was written anew: read it, and commit it")


def table(measured: dict[tuple[int, Mode], Seen]) -> str:
    """A line for each setting, family and place."""
    lines = [
        "| rp_filter | ingress | family | server | TCP, new | TCP, established | UDP | neighbour |",
        "| ---: | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (reverse_path_filter, mode), seen in measured.items():
        for version, where in itertools.product((4, 6), ("host", "container")):
            row = [c for c in CELLS if (c.version, c.where, c.who) == (version, where, "banned")]
            banned = " | ".join(said(seen[cell]) for cell in row)
            neighbour = ", ".join(sorted({said(seen[replace(cell, who="neighbour")]) for cell in row}))
            lines.append(
                f"| {reverse_path_filter} | {mode} | IPv{version} | {where} | {banned} | {neighbour} |"
            )
    return "\n".join(lines) + "\n"


def said(packets: Packets) -> str:
    arrived, returned = packets
    if returned:
        return "answered"
    return "arrives, no answer" if arrived else "dropped"
