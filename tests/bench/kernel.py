"""Measures bulk route writes against `ip -batch` and pyroute2: `python -m tests.bench.kernel`, as root."""

from __future__ import annotations

import argparse
import contextlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from sidecar.kernel.plan import count, difference
from sidecar.kernel.routes import RouteKind, RoutingTable
from sidecar.network import Network
from tests.netns import Namespace, program

SIZES = (22_000, 300_000, 1_000_000)
ONE_BY_ONE = 2_000
SEED = 2520


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def addresses(size: int) -> dict[Network, RouteKind]:
    """`size` random IPv4 addresses, all to be refused; the same every time."""
    values = random.Random(SEED).sample(range(0x01000000, 0xDF000000), size)
    return {Network(4, value, 32): RouteKind.BLACKHOLE for value in values}


def prefixes(size: int) -> dict[Network, RouteKind]:
    """`size` random IPv6 /64s of the documentation prefix, all to be refused."""
    values = random.Random(SEED).sample(range(1 << 32), size)
    return {Network(6, (0x20010DB8 << 96) + (value << 64), 64): RouteKind.BLACKHOLE for value in values}


def ours(wanted: dict[Network, RouteKind]) -> list[tuple[str, float, int]]:
    """(what, seconds, routes) for one life of the table: add, read, compare, one ban, flush."""
    size, extra = len(wanted), Network.parse("203.0.113.255")
    with contextlib.closing(RoutingTable()) as table:
        return [
            ("reconcile, all new", seconds(lambda: table.reconcile(wanted)), size),
            ("present (dump)", seconds(table.present), size),
            ("reconcile, nothing new", seconds(lambda: table.reconcile(wanted)), size),
            ("  of it difference", seconds(lambda: difference(wanted, wanted)), size),
            ("  count", seconds(lambda: count(wanted)), size),
            ("one ban on top", seconds(lambda: table.add(extra)), 1),
            ("flush", seconds(table.flush), size + 1),
        ]


def ip_batch(networks: Iterable[Network], size: int) -> list[tuple[str, float, int]]:
    """The same with iproute2: add by batch, show, flush."""
    tool = program("ip", "iproute2")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "batch"
        with script.open("w") as lines:
            lines.writelines(f"route add blackhole {network} table 2520 proto 222\n" for network in networks)

        def run(*arguments: str) -> None:
            subprocess.run([tool, *arguments], check=True, stdout=subprocess.DEVNULL)

        return [
            ("ip -batch add", seconds(lambda: run("-batch", str(script))), size),
            ("ip route show", seconds(lambda: run("route", "show", "table", "2520")), size),
            ("ip route flush", seconds(lambda: run("route", "flush", "table", "2520")), size),
        ]


def pyroute2_single(networks: Iterable[Network]) -> list[tuple[str, float, int]]:
    """pyroute2, one route at a time, only the first 2,000."""
    from pyroute2 import IPRoute

    some = [str(network) for network in networks][:ONE_BY_ONE]
    with IPRoute() as route:

        def add() -> None:
            for text in some:
                route.route("add", dst=text, type="blackhole", table=2520, proto=222)

        taken = seconds(add)
        route.flush_routes(table=2520)
    return [("pyroute2, one by one", taken, len(some))]


def table(title: str, rows: list[tuple[str, float, int]]) -> str:
    """The rows as text; the ratio is against `ip -batch add`, by routes a second."""
    rate = {name: size / taken for name, taken, size in rows}
    yardstick = rate.get("ip -batch add")
    lines = [f"\n{title}", f"{'':26}{'seconds':>11}{'routes/s':>12}{'to ip -batch':>14}"]
    for name, taken, _ in rows:
        ratio = f"{rate[name] / yardstick:13.2f}x" if yardstick else ""
        lines.append(f"{name:26}{taken:11.6f}{rate[name]:12,.0f}{ratio}")
    return "\n".join(lines)


def main() -> None:
    """Run all sizes, each in a namespace of its own, and print a table of each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("sizes", nargs="*", type=int, default=SIZES)
    for size in options.parse_args().sizes:
        wanted = addresses(size)
        host = Namespace()
        try:
            with host.inside():
                rows = ours(wanted) + ip_batch(wanted, size) + pyroute2_single(wanted)
                sys.stdout.write(table(f"{size:,} IPv4 addresses", rows) + "\n")
                six = min(size, 300_000)
                sys.stdout.write(table(f"{six:,} IPv6 /64", ours(prefixes(six))) + "\n")
        finally:
            host.remove()


if __name__ == "__main__":
    main()
