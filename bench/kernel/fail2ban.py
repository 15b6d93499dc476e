"""The section `fail2ban`: Debian's Fail2Ban with `action = route` restores, bans, stops and keeps the same bans."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.kernel.figures import Figures, Say, addresses, seconds
from bench.kernel.lives import EVIDENCE
from bench.service import Attacker, Listener
from sidecar.network import Network
from tests.conformance import package
from tests.netns import Namespace

RESTORED = 1_000
KEPT = 22_000
_PATIENCE = 120
_JAIL = """[DEFAULT]
enabled = false
[bench]
enabled = true
filter = bench
action = route
maxretry = 1
bantime = -1
logpath = {log}
"""
_FILTER = "[Definition]\nfailregex = unknown\\[<HOST>\\]: SASL LOGIN authentication failed\n"
# Its own code writes its database: what a ban takes there is for it to say.
_WRITE = """
import sys, time
from fail2ban.server.database import Fail2BanDb
from fail2ban.server.ticket import BanTicket

class Actions:
    def getBanTime(self):
        return -1

class Jail:
    name, actions = "bench", Actions()

database, jail, now = Fail2BanDb(sys.argv[1]), Jail(), time.time() - 100
database.addJail(jail)
for address in sys.stdin.read().split():
    database.addBan(jail, BanTicket(address, now, sys.argv[2:]))
"""


def measure(figures: Figures, samples: int, rounds: int, say: Say) -> None:
    """Restore and latency turn by turn, and once the size of a database."""
    for _ in range(rounds):
        with _server(RESTORED) as (server, attacker, listener):
            _life(figures, server, attacker, listener, samples)
    with tempfile.TemporaryDirectory() as folder:
        figures.add(f"fail2ban/{KEPT}/database", _keep(Path(folder) / "bans.sqlite3", list(addresses(KEPT))))
    say("fail2ban: done")


class Server:
    """One server with its configuration, database and log under `root`."""

    def __init__(self, root: Path, banned: Sequence[Network]) -> None:
        self.log, self._config, self._place = root / "mail.log", root / "config", root
        self.log.touch()
        shutil.copytree(package.stock(), self._config)
        (self._config / "filter.d/bench.conf").write_text(_FILTER, encoding="utf-8")
        # Debian turns its own jail on in a file of jail.d, which is read after jail.conf.
        shutil.rmtree(self._config / "jail.d")
        (self._config / "jail.local").write_text(_JAIL.format(log=self.log), encoding="utf-8")
        self._database = root / "bans.sqlite3"
        _keep(self._database, banned)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait for nothing."""
        files = f"[Definition]\ndbfile = {self._database}\nlogtarget = {self._place / 'server.log'}\n"
        files += f"socket = {self._place / 'socket'}\npidfile = {self._place / 'pid'}\n"
        (self._config / "fail2ban.local").write_text(files, encoding="utf-8")
        command = [*package.command("fail2ban-server"), "-f", "-c", str(self._config), "start"]
        self._process = subprocess.Popen(
            command, env=package.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
        )

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


@contextlib.contextmanager
def _server(size: int) -> Iterator[tuple[Server, Attacker, Listener]]:
    host = Namespace()
    try:
        with host.inside(), tempfile.TemporaryDirectory() as folder:
            # Its routes go into table main and say unreachable: there must be some network.
            host.wire("mail0", "198.51.100.1/24")
            server = Server(Path(folder), list(addresses(size)))
            with (
                contextlib.closing(Listener()) as listener,
                contextlib.closing(Attacker(server.log, listener)) as attacker,
            ):
                try:
                    yield server, attacker, listener
                finally:
                    server.stop()
    finally:
        host.remove()


def _life(figures: Figures, server: Server, attacker: Attacker, listener: Listener, samples: int) -> None:
    begin = time.perf_counter()
    server.start()
    heard = listener.heard()
    for _ in range(RESTORED):
        _, last = next(heard)
    figures.add(f"fail2ban/{RESTORED}/start", last - begin)
    for _ in range(samples):
        # Not in step with its polling.
        figures.add("fail2ban/one", attacker.sample(random.uniform(0, 1)))
    figures.add(f"fail2ban/{RESTORED}/stop", seconds(server.stop))


def _keep(database: Path, banned: Sequence[Network]) -> float:
    """Its own code puts these bans into its database; bytes on disk."""
    command = [package.interpreter(), "-c", _WRITE, str(database), *EVIDENCE]
    text = "\n".join(str(network.address) for network in banned)
    subprocess.run(command, input=text, text=True, env=package.environment(), check=True, cwd="/")
    return float(database.stat().st_size)
