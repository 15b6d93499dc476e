"""Kills at random moments during rotations: each failure counts once, and each due ban is active.

`ZMBAN_KILLS`: number of kills; `ZMBAN_SEED`: the printed seed repeats a run.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.network import Network
from sidecar.store.database import FILE
from tests.app.running import SHIPPED, Running, until
from tests.app.test_service import blackholes
from tests.cli.running import ZMBAN
from tests.faults.writing import RETRIES, WAYS, client, due
from tests.netns import Namespace

pytestmark = pytest.mark.kernel
KILLS = int(os.environ.get("ZMBAN_KILLS", "10"))
SEED = os.environ.get("ZMBAN_SEED") or str(random.SystemRandom().randrange(10**9))
TURNS = os.environ.get("ZMBAN_WAYS", ",".join(WAYS))
JAILS = """
[count]
maxretry = 1000000
[ban]
maxretry = {retries}
[DEFAULT]
enabled = true
filter = zimbra-smtp
findtime = 86400
bantime = -1
logpath = {log}
"""


def missing_and_doubled(lines: list[str], written: int) -> tuple[list[int], dict[int, int]]:
    """Numbers of the lines that were not counted, and of those that were counted more than once."""
    counted = Counter(int(found) for line in lines for found in re.findall(r" n=(\d+)$", line))
    assert len(lines) == counted.total(), "a line without a number"
    assert all(f"[{client(n)}]" in line for line in lines for n in map(int, re.findall(r" n=(\d+)$", line)))
    missing = [number for number in range(written) if number not in counted]
    return missing, {number: times for number, times in counted.items() if times != 1 or number >= written}


def refused(written: int) -> set[str]:
    """The routes in the kernel of the bans that are due."""
    networks = [Network.parse(who).unit() for who in due(written)]
    return {n.address if n.single else str(n) for n in networks}


def counted(running: Running) -> list[str]:
    with contextlib.closing(sqlite3.connect(running.state / FILE)) as db:
        return [line for (line,) in db.execute("SELECT line FROM failures WHERE jail='count'")]


@contextlib.contextmanager
def writer(log: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.faults.writing", str(log), SEED, TURNS]
    root = SHIPPED.parent
    process = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def launched(running: Running) -> None:
    """Start the service without waiting."""
    places = ["--state", str(running.state), "--socket", str(running.socket)]
    with (running.root / "service.log").open("ab") as log:
        command = [str(ZMBAN), "--config", str(running.root / "config"), "run", *places]
        running.process = subprocess.Popen(command, stdout=log, stderr=log)


def killed(running: Running, writing: subprocess.Popen[str]) -> None:
    """Start and kill the service repeatedly, sometimes with several rotations in between."""
    chance = random.Random(f"{SEED} kills")
    assert writing.stdin is not None
    for _ in range(KILLS):
        launched(running)
        # A third of the kills happen during the start.
        threading.Event().wait(chance.uniform(0.1, 3.0))
        running.stop(signal.SIGKILL)
        if chance.random() < 0.4:
            writing.stdin.write("burst\n")
            writing.stdin.flush()
        threading.Event().wait(chance.uniform(0.0, 0.7))


def test_a_line_that_is_missing_or_counted_twice_is_found_out() -> None:
    lines = [f"unknown[{client(n)}]: failed: n={n}" for n in range(10)]
    assert missing_and_doubled(lines, 10) == ([], {})
    assert missing_and_doubled(lines[:4] + lines[5:], 10) == ([4], {})
    assert missing_and_doubled([*lines, lines[3]], 10) == ([], {3: 2})
    assert missing_and_doubled(lines, 9) == ([], {9: 1})
    counts, banned = Counter(map(client, range(4000))), due(4000)
    assert (
        max(counts[one] for one in counts if one not in banned)
        < RETRIES
        <= min(counts[one] for one in banned)
    )


def test_killed_at_any_moment_it_counts_every_failure_once_and_bans_whom_it_must(
    host: Namespace, tmp_path: Path
) -> None:
    running = Running(tmp_path)
    jails = JAILS.format(retries=RETRIES, log=running.log)
    (tmp_path / "config/jail.d/test.conf").write_text(jails, encoding="utf-8")
    print(f"ZMBAN_SEED={SEED} ZMBAN_KILLS={KILLS}")
    try:
        running.start()
        with writer(running.log) as writing:
            # Rotated files of a log that was never read are skipped, so some of it must be read first.
            until(lambda: counted(running))
            running.stop(signal.SIGKILL)
            killed(running, writing)
            launched(running)
            out, _ = writing.communicate("stop\n", timeout=60)
        told = json.loads(out)
        until(lambda: running.get("/readyz")[0] == 200, 120)
        with contextlib.suppress(AssertionError):
            # The assertion below reports the missing lines.
            until(lambda: len(counted(running)) >= told["lines"], 15)
        running.stop()
        lines = counted(running)
        assert missing_and_doubled(lines, told["lines"]) == ([], {}), f"ZMBAN_SEED={SEED} {told}"
        assert blackholes(host) == refused(told["lines"])
        # No line is read again.
        running.start()
        running.stop()
        assert sorted(counted(running)) == sorted(lines)
        assert blackholes(host) == refused(told["lines"])
        print(f"{KILLS} kills, {told['lines']} failures, each counted once; rotated: {told['rotations']}")
    finally:
        if running.process is not None and running.process.poll() is None:
            running.process.kill()
            running.process.wait(20)
