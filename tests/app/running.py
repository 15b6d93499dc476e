"""A whole `zmban run` in a network namespace, with a configuration and logs of its own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sidecar.app import daemon, doors
from sidecar.app.bootstrap import Components, build
from sidecar.app.commands.dispatcher import ControlCommands
from sidecar.app.runtime_options import RuntimeOptions
from sidecar.bans.table import BanTable
from sidecar.configuration import loading
from sidecar.kernel.backend import Entries
from sidecar.model import Ban, Event
from tests.cli.running import ZMBAN, records, zmban

SHIPPED = Path(__file__).parents[2] / "config"
LISTEN = "127.0.0.1:9177"


def until(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Wait until a condition is true; returns its value. Fails with the last value after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, value
        time.sleep(0.02)
    return value


class Running:
    """A service and its directories. It runs in the network namespace of the calling thread."""

    def __init__(self, root: Path, jails: str = "") -> None:
        self.root = root
        self.log = root / "logs" / "zimbra.log"
        self.log.parent.mkdir()
        self.log.touch()
        self.socket, self.state = root / "control.sock", root / "state"
        (root / "config/jail.d").mkdir(parents=True)
        text = "[smtp]\nenabled = true\nfilter = zimbra-smtp\nmaxretry = 2\nfindtime = 86400\nbantime = -1\n"
        text += f"logpath = {self.log}\n"
        (root / "config/jail.d/test.conf").write_text(text + jails, encoding="utf-8")
        (root / "config/filter.d").symlink_to(SHIPPED / "filter.d")
        self.process: subprocess.Popen[bytes] | None = None
        # The command that starts it, such as setpriv with options.
        self.by: list[str] = []

    @property
    def _common(self) -> list[str]:
        return ["--config", str(self.root / "config")]

    def start(self, *options: str) -> None:
        """Start the service and wait until it answers commands."""
        self.launch(*options)
        self.ready()

    def launch(self, *options: str) -> None:
        """Start the service without waiting."""
        places = ["--state", str(self.state), "--socket", str(self.socket)]
        with (self.root / "service.log").open("ab") as log:
            command = [*self.by, str(ZMBAN), *self._common, "run", *places, *options]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def ready(self, seconds: float = 15.0) -> None:
        """Wait until the service is ready. On failure shows why, and its log."""
        try:
            until(lambda: self.get("/readyz")[0] == 200, seconds)
        except AssertionError:
            raise AssertionError(f"{self.get('/readyz')}\n{self.said()[-3000:]}") from None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop the service by a signal; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page; status 0 if nothing answers."""
        try:
            with urllib.request.urlopen(f"http://{LISTEN}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, series: str) -> float:
        """The value of one series in the text of the page, 0 if it is missing."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if line.startswith(series + " ")]
        return float(lines[0].rsplit(" ", 1)[1]) if lines else 0.0

    def attack(self, host: str, times: int = 2, log: Path | None = None) -> None:
        """Failed logins of a client, as Postfix writes them."""
        now = datetime.now().astimezone().strftime("%b %e %H:%M:%S")
        says = f"warning: unknown[{host}]: SASL LOGIN authentication failed: x"
        line = f"{now} mail postfix/smtps/smtpd[1]: {says}\n"
        with (log or self.log).open("a", encoding="utf-8") as file:
            file.write(line * times)

    def ask(self, command: str, *arguments: str) -> list[dict[str, Any]]:
        """Run a command with --jsonl."""
        done = zmban(*self._common, command, *arguments, "--socket", self.socket, "--jsonl")
        assert done.returncode == 0, done.stderr
        return records(done)

    def banned(self) -> set[str]:
        """The networks that the service reports as banned and enforced."""
        return {record["network"] for record in self.ask("bans") if record["enforced"]}

    def said(self) -> str:
        """What it logged."""
        return (self.root / "service.log").read_text(encoding="utf-8")


@contextlib.contextmanager
def service(root: Path, jails: str = "", *options: str, settings: str = "") -> Iterator[Running]:
    """A service that runs, and is killed by its id if the test left it running; `settings` are its
    zmban.toml."""
    running = Running(root, jails)
    (root / "config/zmban.toml").write_text(settings, encoding="utf-8")
    try:
        running.start(*options)
        yield running
    finally:
        if running.process is not None and running.process.poll() is None:
            running.process.kill()
            running.process.wait(20)


def _namespace() -> Path:
    """The network namespace of this thread."""
    return Path("/proc/thread-self/ns/net").readlink()


# This file is read before any test enters a namespace of its own.
MACHINE = _namespace()


class InProcess:
    """The components of a started service in this process; no task of it runs by itself."""

    def __init__(self, parts: Components) -> None:
        self.parts = parts
        self.engine, self.register = parts.memory.engine, parts.memory.register
        self.suspects, self.commit_queue, self.bus = parts.memory.suspects, parts.commit_queue, parts.bus
        self.enforcer, self.verifier, self.drift = parts.enforcer, parts.verifier, parts.drift
        self.metrics, self.logs, self.protection = parts.metrics, parts.logs, parts.protection
        self._commands = ControlCommands(doors.commands(parts))

    @property
    def table(self) -> BanTable:
        """The active bans."""
        return self.register.table

    def ban(self, *bans: Ban) -> None:
        """Add bans and publish them, as a log does."""
        events: list[Event] = [event for ban in bans for event in self.register.ban(ban, time.time())]
        self.bus.publish(events)

    async def tell(self, command: str, **arguments: Any) -> Any:
        """Run a command of the control socket."""
        return await self._commands.handle(command, arguments)

    async def settled(self) -> None:
        """Wait until published changes have reached kernel and database."""
        await self.parts.background.settled()

    async def salvaged(self) -> None:
        """Wait until every damaged file is read, merged and committed."""
        async with asyncio.timeout(30):
            while self.commit_queue.salvages:
                await self.parts.salvage.look()
                await asyncio.sleep(0.01)
        await self.settled()
        await self.commit_queue.commit()

    def present(self) -> Entries:
        """The entries of the service in the kernel."""
        return self.enforcer._routes.present()

    def metric(self, series: str, **labels: str) -> float:
        """The current value of one series, 0 if there is none."""
        return self.metrics.registry.get_sample_value(f"zmban_{series}", labels) or 0.0


@contextlib.asynccontextmanager
async def in_process(
    root: Path, jails: str = "", *, dry_run: bool = False, logpath: str = "zimbra.log"
) -> AsyncIterator[InProcess]:
    """A service that has started, with more `jails`. Its own jail reads `logpath` below the directory of logs."""
    # The kernel is real: outside a namespace of the test (fixture `host`) routes would be the machine's own.
    assert dry_run or _namespace() != MACHINE, "take the fixture host, or dry_run=True"
    running = Running(root, jails)
    written = root / "config/jail.d/test.conf"
    text = written.read_text().replace("/logs/zimbra.log\n", f"/logs/{logpath}\n")
    written.write_text(text, encoding="utf-8")
    parts = build(loading.load([str(root / "config")]), RuntimeOptions(running.state, dry_run))
    await daemon.startup(parts)
    try:
        yield InProcess(parts)
    finally:
        await daemon.shutdown(parts)
