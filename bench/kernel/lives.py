"""The section `lives`: a whole service that starts from its database, stands, stops, starts again, and is flushed."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.kernel.figures import Figures, Say, addresses, seconds
from bench.scan.generate import cache
from bench.service import memory
from sidecar.kernel.route.routing_table import RoutingTable
from sidecar.model import Ban
from sidecar.network import Network
from sidecar.store.database import Database
from tests.app.running import Running
from tests.kernel.conftest import notifications
from tests.netns import Namespace

EVIDENCE = (
    "Nov 20 00:20:34 mail postfix/smtpd[87931]: warning: dsl.example.net[100.115.244.12]: "
    "SASL CRAM-MD5 authentication failed: x",
    "Nov 20 00:21:09 mail postfix/smtpd[87933]: warning: dsl.example.net[100.115.244.12]: "
    "SASL LOGIN authentication failed: y",
)
_MANY = 20_000
# All of a sample must be refused; then the table is counted.
_SAMPLE = 200
_SETTLE = 3.0
# A million bans take seconds on any machine, on a slow one a quarter of a minute.
_PATIENCE = 60.0


def measure(figures: Figures, sizes: Sequence[int], rounds: int, say: Say) -> None:
    """Every size, in a namespace of its own."""
    for size in sizes:
        with _home() as running, contextlib.closing(RoutingTable()) as table:
            banned = list(addresses(size))
            figures.add(f"lives/{size}/database", keep(running.state, banned))
            for _ in range(rounds):
                _life(figures, f"lives/{size}", running, table, banned)
                table.flush()
            _flushed(figures, f"lives/{size}", running, table, banned)
        say(f"lives: {size:,} done")


@contextlib.contextmanager
def _home() -> Iterator[Running]:
    host = Namespace()
    root = Path(tempfile.mkdtemp(prefix="kernel-", dir=cache()))
    try:
        with host.inside():
            yield Running(root)
    finally:
        host.remove()
        shutil.rmtree(root)


def keep(state: Path, banned: Sequence[Network]) -> float:
    """Put these bans into a new database, two lines of evidence each; its bytes on disk."""
    state.mkdir(exist_ok=True)
    with contextlib.closing(Database(state)) as database:
        for start in range(0, len(banned), _MANY):
            part = banned[start : start + _MANY]
            database.write(
                Ban(network, "smtp", 1.0, None, "log", "2 failures in 600 s", 2, EVIDENCE) for network in part
            )
    return float(sum(file.stat().st_size for file in state.iterdir()))


def _life(
    figures: Figures, name: str, running: Running, table: RoutingTable, banned: Sequence[Network]
) -> None:
    """From nothing in the kernel to everything; a stop; and a start with everything still there."""
    begin = time.perf_counter()
    running.launch()
    until_refused(table, banned)
    figures.add(f"{name}/start", time.perf_counter() - begin)
    assert running.process is not None
    running.ready(_PATIENCE)
    time.sleep(_SETTLE)
    figures.add(f"{name}/memory", memory(running.process.pid))
    figures.add(f"{name}/peak", memory(running.process.pid, peak=True))
    figures.add(f"{name}/stop", seconds(running.stop))
    assert table.present().keys() > set(banned)
    with notifications() as changes:
        figures.add(f"{name}/start again", seconds(lambda: _compared(running)))
        running.ready(_PATIENCE)
        time.sleep(_SETTLE)
        figures.add(f"{name}/changes", changes())
    running.stop()


def _compared(running: Running) -> None:
    """Start it, and wait until it has compared each active ban with its route in the kernel."""
    before = running.said().count("active bans; 0 routes written")
    running.launch()
    while running.said().count("active bans; 0 routes written") == before:
        time.sleep(0.001)


def until_refused(table: RoutingTable, banned: Sequence[Network]) -> None:
    """Wait until the kernel refuses a sample of them, among it the first and the last."""
    step = max(1, len(banned) // _SAMPLE)
    for network in (*banned[::step], banned[-1]):
        while not table.refuses(network):
            time.sleep(0.001)


def _flushed(
    figures: Figures, name: str, running: Running, table: RoutingTable, banned: Sequence[Network]
) -> None:
    """A stop that takes everything away: until everybody is let in, and until nothing is left."""
    (running.root / "config/zmban.toml").write_text('[kernel]\non_stop = "flush"\n', encoding="utf-8")
    running.launch()
    running.ready(_PATIENCE)
    until_refused(table, banned)
    assert running.process is not None
    begin = time.perf_counter()
    running.process.terminate()
    while table.refuses(banned[-1]):
        time.sleep(0.001)
    figures.add(f"{name}/let in", time.perf_counter() - begin)
    running.process.wait(60)
    figures.add(f"{name}/flush", time.perf_counter() - begin)
    assert not table.present()
