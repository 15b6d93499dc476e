"""A whole `zmban run` in a network namespace, with a configuration and logs of its own."""

from __future__ import annotations

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

from sidecar.app.options import RuntimeOptions
from sidecar.app.service import Service
from sidecar.configuration import loading
from tests.cli.running import ZMBAN, records, zmban

SHIPPED = Path(__file__).parents[2] / "config"
LISTEN = "127.0.0.1:9177"


def until(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Wait for a condition to become true; its value. Fails with the last value after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, value
        time.sleep(0.02)
    return value


class Running:
    """One service and its places. Runs in the namespace that the test's thread is in."""

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
        # What starts it, as setpriv with its options.
        self.by: list[str] = []

    @property
    def _common(self) -> list[str]:
        return ["--config", str(self.root / "config")]

    def start(self, *options: str) -> None:
        """Start it and wait until it is ready to be asked."""
        self.launch(*options)
        self.ready()

    def launch(self, *options: str) -> None:
        """Start it, and wait for nothing."""
        places = ["--state", str(self.state), "--socket", str(self.socket)]
        with (self.root / "service.log").open("ab") as log:
            command = [*self.by, str(ZMBAN), *self._common, "run", *places, *options]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def ready(self) -> None:
        """Wait until it is; one that is not shows why, and what it logged."""
        try:
            until(lambda: self.get("/readyz")[0] == 200)
        except AssertionError:
            raise AssertionError(f"{self.get('/readyz')}\n{self.said()[-3000:]}") from None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of one of its pages; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{LISTEN}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, series: str) -> float:
        """The value of one series as it stands in the text, 0 where it does not."""
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
        """A command with --jsonl."""
        done = zmban(*self._common, command, *arguments, "--socket", self.socket, "--jsonl")
        assert done.returncode == 0, done.stderr
        return records(done)

    def banned(self) -> set[str]:
        """The networks that the service says are banned and enforced."""
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


@contextlib.asynccontextmanager
async def in_process(
    root: Path, *, dry_run: bool = False, logpath: str = "zimbra.log"
) -> AsyncIterator[Service]:
    """A service in this very process that has started; nothing of it runs by itself. Its jail reads `logpath`
    below the directory of logs."""
    running = Running(root)
    jails = root / "config/jail.d/test.conf"
    jails.write_text(jails.read_text().replace("/logs/zimbra.log\n", f"/logs/{logpath}\n"), encoding="utf-8")
    one = Service(loading.load([str(root / "config")]), RuntimeOptions(running.state, dry_run))
    await one.start()
    try:
        yield one
    finally:
        await one._stop()
