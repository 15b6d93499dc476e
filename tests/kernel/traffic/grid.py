"""Clients behind a router, a mail server's host, and a container behind it that is reached by DNAT; every
packet is counted by the kernel where it arrives."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.netns import Namespace, program, run

Who = Literal["banned", "neighbour"]
Where = Literal["host", "container"]
Kind = Literal["new", "established", "udp"]

# Clients come by the router at the far end of the link: none of them is on a network of the host's own.
CLIENTS: dict[tuple[int, Who], str] = {
    (4, "banned"): "203.0.113.67", (4, "neighbour"): "203.0.113.68",
    (6, "banned"): "2001:db8:66::7", (6, "neighbour"): "2001:db8:67::7",
}  # fmt: skip
SERVER = {4: "198.51.100.1", 6: "2001:db8:f::1"}
ROUTER = {4: "198.51.100.66", 6: "2001:db8:f::66"}
BRIDGE = {4: "10.88.0.1", 6: "fd88::1"}
CONTAINER = {4: "10.88.0.2", 6: "fd88::2"}
LENGTHS = {4: 24, 6: 64}
PORTS: dict[tuple[Where, Kind], int] = {
    ("host", "new"): 2601, ("host", "established"): 2602, ("host", "udp"): 2603,
    ("container", "new"): 2701, ("container", "established"): 2702, ("container", "udp"): 2703,
}  # fmt: skip
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of traffic of one client to one place."""

    version: int
    where: Where
    kind: Kind
    who: Who

    @property
    def transport(self) -> str:
        return "udp" if self.kind == "udp" else "tcp"

    @property
    def port(self) -> int:
        return PORTS[self.where, self.kind]

    def counter(self, direction: str) -> str:
        return f"{direction}_{self.version}_{self.where}_{self.kind}_{self.who}"

    def rule(self, direction: Literal["arrived", "returned"]) -> str:
        """Counts what comes from the client, or what goes back to it."""
        family = "ip" if self.version == 4 else "ip6"
        client, near, far = CLIENTS[self.version, self.who], "saddr", "dport"
        if direction == "returned":
            near, far = "daddr", "sport"
        name = self.counter(direction)
        return f"{family} {near} {client} {self.transport} {far} {self.port} counter name {name}"


WHO: tuple[Who, ...] = ("banned", "neighbour")
CELLS = [Cell(version, where, kind, who) for version in FAMILIES for where, kind in PORTS for who in WHO]


class Grid:
    """The four machines, their servers, and the counters; `close` takes all away."""

    def __init__(self, host: Namespace) -> None:
        self.host, self.clients, self.container = host, Namespace(), Namespace()
        self._stack = contextlib.ExitStack()
        self._stack.callback(self.clients.remove)
        self._stack.callback(self.container.remove)
        try:
            self._wire()
            self._forward()
            self._count()
            self._datagrams: list[socket.socket] = []
            self._listen("host", host)
            self._listen("container", self.container)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._stack.close()

    def settle(self, value: int) -> None:
        """rp_filter of this value on the way in."""
        for name in ("all", "mail0"):
            Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").write_text(str(value))

    def _wire(self) -> None:
        host, clients, container = self.host, self.clients, self.container
        host.ip("link", "add", "mail0", "type", "veth", "peer", "name", "evil0", "netns", clients.name)
        host.ip("link", "add", "br0", "type", "bridge")
        host.ip("link", "add", "port0", "type", "veth", "peer", "name", "eth0", "netns", container.name)
        host.ip("link", "set", "port0", "master", "br0")
        for namespace, name in (
            (host, "mail0"), (clients, "evil0"), (host, "br0"), (host, "port0"), (container, "eth0"),
        ):  # fmt: skip
            namespace.ip("link", "set", name, "up")
        for version, length in LENGTHS.items():
            host.address("mail0", f"{SERVER[version]}/{length}")
            clients.address("evil0", f"{ROUTER[version]}/{length}")
            host.address("br0", f"{BRIDGE[version]}/{length}")
            container.address("eth0", f"{CONTAINER[version]}/{length}")
            for who in WHO:
                clients.address("lo", f"{CLIENTS[version, who]}/{32 if version == 4 else 128}")
            host.ip(f"-{version}", "route", "add", "default", "via", ROUTER[version])
            container.ip(f"-{version}", "route", "add", "default", "via", BRIDGE[version])

    def _forward(self) -> None:
        """The container's ports are published on the host, as Docker does it."""
        for place in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            Path("/proc/sys/net", place).write_text("1")
        ports = ", ".join(str(port) for (where, _), port in PORTS.items() if where == "container")
        rules = [
            f"{family} daddr {SERVER[version]} {transport} dport {{ {ports} }}"
            f" dnat {family} to {f'[{CONTAINER[version]}]' if version == 6 else CONTAINER[version]}"
            for version, family in ((4, "ip"), (6, "ip6"))
            for transport in ("tcp", "udp")
        ]
        self._rules(self.host, "published", "type nat hook prerouting priority dstnat;", rules)

    def _count(self) -> None:
        arriving: dict[Where, list[Cell]] = {
            where: [cell for cell in CELLS if cell.where == where] for where in ("host", "container")
        }
        # Input comes behind everything that can drop on the way in.
        self._counting(self.host, "input", "arrived", arriving["host"])
        self._counting(self.container, "prerouting", "arrived", arriving["container"])
        self._counting(self.clients, "prerouting", "returned", CELLS)

    def _counting(
        self, at: Namespace, hook: str, direction: Literal["arrived", "returned"], cells: list[Cell]
    ) -> None:
        counters = "\n".join(f"counter {cell.counter(direction)} {{ }}" for cell in cells)
        rules = [cell.rule(direction) for cell in cells]
        self._rules(at, "counting", f"type filter hook {hook} priority filter;", rules, counters)

    @staticmethod
    def _rules(at: Namespace, table: str, chain: str, rules: list[str], more: str = "") -> None:
        text = f"table inet {table} {{\n{more}\nchain one {{\n{chain}\n" + "\n".join(rules) + "\n}\n}\n"
        with at.inside():
            run(program("nft", "nftables"), text)

    def _listen(self, where: Where, at: Namespace) -> None:
        """The servers of a place, in each family."""
        with at.inside():
            for version, family in FAMILIES.items():
                for kind in ("new", "established"):
                    address = (SERVER[version] if where == "host" else CONTAINER[version], PORTS[where, kind])
                    server = socket.create_server(address, family=family, backlog=64)
                    self._stack.callback(server.close)
                datagrams = socket.socket(family, socket.SOCK_DGRAM)
                self._stack.callback(datagrams.close)
                datagrams.bind((address[0], PORTS[where, "udp"]))
                datagrams.setblocking(False)
                self._datagrams.append(datagrams)

    def client(self, cell: Cell) -> socket.socket:
        """A socket at the client's address; connected if the traffic is of a connection that stands."""
        kind = socket.SOCK_DGRAM if cell.kind == "udp" else socket.SOCK_STREAM
        with self.clients.inside():
            made = socket.socket(FAMILIES[cell.version], kind)
        made.bind((CLIENTS[cell.version, cell.who], 0))
        if cell.kind == "established":
            made.settimeout(10)
            made.connect((SERVER[cell.version], cell.port))
        return made

    def answer(self) -> None:
        """Send each datagram that came to a server back, as far as its machine lets it."""
        for server in self._datagrams:
            with contextlib.suppress(BlockingIOError):
                while True:
                    text, client = server.recvfrom(99)
                    # The way to a banned client is refused with an error here.
                    with contextlib.suppress(OSError):
                        server.sendto(text, client)

    def counted(self) -> dict[str, int]:
        """Packets by counter."""
        found: dict[str, int] = {}
        for place in (self.host, self.container, self.clients):
            with place.inside():
                text = run(program("nft", "nftables"), "-j", "list", "counters", "table", "inet", "counting")
            entries = [entry["counter"] for entry in json.loads(text)["nftables"] if "counter" in entry]
            found.update((entry["name"], entry["packets"]) for entry in entries)
        return found
