"""From the line to the route while a crowd is at the page and nobody takes the notifications; the memory of those who
follow it, and the time to the first view."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

from bench.kernel.figures import Figures, Say, addresses
from bench.kernel.lives import keep
from bench.scan.places import ROOT
from bench.service import attacked, memory
from sidecar.serve.web.assets import assets
from tests.app.running import LISTEN, until

STANDING, LISTED = 22_000, 300_000
_SETTLE = 3.0
_STARTED = 40.0
_URL = f"http://{LISTEN}/"
# Somebody accepts webhooks and never answers; nobody listens for mail.
_HANGING, _CLOSED = 9871, 9872
_SETTINGS = f"""[notify]
webhooks = ["http://127.0.0.1:{_HANGING}/hook", "slack+http://127.0.0.1:{_HANGING}/slack"]
mail_to = ["admin@example.com"]
mail_from = "zmban@example.com"
smtp = "smtp://127.0.0.1:{_CLOSED}"
events = ["wide-ban", "known-good-ban", "brake", "not-enforced", "masked", "digest"]
"""


def measure(figures: Figures, samples: int, rounds: int, say: Say) -> None:
    """Turn by turn without and with the crowd, of one service; then the list of many bans in a browser."""
    figures.add("clients/bytes", sum(len(asset.packed) for asset in assets().values()))
    banned = list(addresses(STANDING))

    def prepare(state: Path) -> None:
        keep(state, banned)
        (state.parent / "config/zmban.toml").write_text(_SETTINGS, encoding="utf-8")

    with attacked("", prepare) as (running, attacker), _never_answering():
        attacker.sample(_SETTLE)
        assert running.process is not None
        before = memory(running.process.pid)
        for _ in range(rounds):
            for name, around in (("quiet", contextlib.nullcontext()), ("crowd", _crowd())):
                with around:
                    time.sleep(_SETTLE)
                    for _ in range(samples):
                        figures.add(f"clients/{name}", attacker.sample(0.05))
        figures.add("clients/crowd memory", memory(running.process.pid) - before)
    say("clients: latency done")
    _view(figures, rounds)
    say("clients: first view done")


@contextlib.contextmanager
def _crowd() -> Iterator[None]:
    command = [sys.executable, "-m", "bench.clients.crowd", LISTEN.rpartition(":")[2]]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT)
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


@contextlib.contextmanager
def _never_answering() -> Iterator[None]:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", _HANGING))
        listening.listen(1000)
        yield


def _view(figures: Figures, rounds: int) -> None:
    """From the address to the first row of a list of many bans; and the memory of a page that looks on."""
    banned = list(addresses(LISTED))
    with attacked("", lambda state: keep(state, banned)) as (running, attacker):
        attacker.sample(_SETTLE)
        assert running.process is not None
        # What a start itself takes later: the check of the database, the first reading of the kernel.
        time.sleep(_STARTED)
        before = memory(running.process.pid)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            for _ in range(rounds):
                page = browser.new_page()
                begun = time.perf_counter()
                page.goto(f"{_URL}#/bans", wait_until="commit")
                page.get_by_role("row").nth(5).wait_for()
                figures.add("clients/first view", time.perf_counter() - begun)
                page.close()
            browser.close()
        followers = [socket.create_connection(("127.0.0.1", 9177)) for _ in range(50)]
        for follower in followers:
            follower.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: all(follower.recv(1 << 16) for follower in followers))
        time.sleep(_SETTLE)
        figures.add("clients/memory", memory(running.process.pid) - before)
        for follower in followers:
            follower.close()
