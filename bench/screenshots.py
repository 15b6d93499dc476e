"""Makes the screenshots of the page under docs/: `make screenshots`. A real service in a network namespace, with generated
attacks; the day before is generated too."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import pi, sin
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from bench.scan.places import ROOT
from sidecar.model import Ban
from sidecar.network import Network
from sidecar.store.changes import Change, Login, Memo
from sidecar.store.database import Database
from tests.app.running import LISTEN, Running, until
from tests.netns import Namespace

_STANDING = 22_000
_YEARS = 360_000_000
_JAILS = (
    ("smtp", "2 failures in 86400 s"),
    ("web", "5 failures in 86400 s"),
    ("probe", "1 failure in 86400 s"),
)
_EVIDENCE = (
    "Nov 20 00:20:34 mail postfix/smtps/smtpd[8793]: warning: unknown[{0}]: SASL LOGIN authentication failed: "
    "authentication failure, sasl_username=bob@example.com",
    "Nov 20 00:21:09 mail postfix/smtps/smtpd[8793]: warning: unknown[{0}]: SASL LOGIN authentication failed: "
    "authentication failure, sasl_username=carol@example.com",
)
_MORE = (
    "[web]\nenabled = true\nfilter = zimbra-mail\nmaxretry = 5\nfindtime = 86400\nbantime = -1\nlogpath = {logs}/mailbox.log\n"
    "[probe]\nenabled = true\nfilter = zimbra-probe\nmaxretry = 1\nbantime = -1\nlogpath = {logs}/zimbra.log\n"
    "zmban.dry_run = true\n"
)
# Name, address of the view, width, height, dark.
_PICTURES = (
    ("page-now", "#/", 1280, 900, False),
    ("page-bans", "#/bans", 1280, 800, False),
    ("page-ban", "#/bans/203.0.113.7/32", 1280, 900, True),
    ("page-narrow", "#/", 390, 844, True),
)


def _before(state: Path) -> None:
    """The bans of years, and the counts of the last day."""
    chance, now = random.Random(7), time.time()
    hosts = chance.sample(range(0xC6336400 - (1 << 20), 0xC6336400), _STANDING - 60)
    networks = [Network(4, host, 32) for host in hosts]
    networks += [Network.parse(f"203.0.113.{n}") for n in range(7, 67)]
    changes: list[Change] = []
    for number, network in enumerate(networks):
        jail, reason = chance.choice(_JAILS[:2])
        at = now - (len(networks) - number) * 1400
        lines = tuple(line.format(network.address) for line in _EVIDENCE)
        changes.append(Ban(network, jail, at, at + _YEARS, "log", reason, 2, lines))
    changes.append(
        Ban(Network.parse("203.0.113.0/28"), "manual", now - 5000, None, "manual", "hosting network, see mail of 12 May",
            by="alice")
    )  # fmt: skip
    changes.append(Login(Network.parse("198.51.100.20"), "carol@example.com", now - 900))
    minute = int(now) // 60
    for ago in range(24 * 60):
        wave = 1 + sin(ago / 240 * pi)
        failures = int(chance.expovariate(1 / (2 + 9 * wave)))
        changes.append(Memo("rate", str(minute - ago), f"{failures // 4} {failures}", now))
    with_state = Database(state)
    with_state.write(changes)
    with_state.close()


@contextmanager
def _service() -> Iterator[Running]:
    host = Namespace()
    root = Path(tempfile.mkdtemp(prefix="zmban-"))
    try:
        host.wire("eth0", "192.0.2.10/24")
        host.ip("route", "add", "default", "via", "192.0.2.1")
        with host.inside():
            running = Running(root, _MORE.format(logs=root / "logs"))
            (root / "logs/mailbox.log").touch()
            _before(running.state)
            running.start()
            try:
                yield running
            finally:
                running.stop()
    finally:
        host.remove()


def _pictures(page: Page) -> None:
    for name, address, width, height, dark in _PICTURES:
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.goto(f"http://{LISTEN}/{address}")
        page.wait_for_load_state("load")
        page.get_by_text("enforced").first.wait_for()
        page.wait_for_timeout(2000)
        page.screenshot(path=str(ROOT / f"docs/{name}.png"))


def main() -> None:
    """Start, attack, look."""
    with _service() as running, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for number in range(12):
            running.attack(f"198.51.100.{100 + number}", 1 + number % 3)
        until(lambda: len(running.banned()) > 0)
        _pictures(browser.new_page(device_scale_factor=1))
        browser.close()


if __name__ == "__main__":
    main()
