"""`make demo`: the demonstration in namespaces passes its checks, and leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.conftest import ROOT

pytestmark = pytest.mark.stack
KINDS = ("cgroup", "ipc", "mnt", "net", "pid")


class Demo:
    """A run of scripts/demo.sh without a terminal. `namespaces`: those it created, such as `net:[4026532257]`."""

    def __init__(self) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "DEMO_SECONDS"}
        self.process = subprocess.Popen(
            ["sh", "scripts/demo.sh"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""
        self.namespaces: set[str] = set()

    def lines(self) -> Iterator[str]:
        """Its output, line by line."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            yield line

    def start(self) -> None:
        """Wait until the servers and zmban are up (the first run creates a root file system before)."""
        for line in self.lines():
            if found := re.search(r"nsenter --target (\d+) ", line):
                self.namespaces = namespaces(found[1]) - namespaces("self")
                return
        pytest.fail(self.output)

    def finish(self) -> int:
        """Read the output to its end; returns the exit code."""
        for _ in self.lines():
            pass
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait()

    def remains(self) -> list[str]:
        """What is left: processes in its namespaces or its tree, mounts, and names of namespaces."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                inside = namespaces(process.name) & self.namespaces
                if inside or "/zmban-demo/" in str((process / "root").readlink()):
                    found.append(f"process {process.name}: {(process / 'cmdline').read_text()!r}")
            except OSError:
                continue  # the process has just ended
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        found += [m for m in mounts if "zmban-demo" in m or any(name in m for name in self.namespaces)]
        names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
        found += [name for name in names.splitlines() if name.startswith("zmban-demo-")]
        return found


def namespaces(process: str) -> set[str]:
    return {os.readlink(f"/proc/{process}/ns/{kind}") for kind in KINDS}  # noqa: PTH115 - not a path


@pytest.fixture
def demo() -> Iterator[Demo]:
    """A running demonstration; it is stopped at the end of the test."""
    before = Path("/opt/zimbra").exists(), Path("/var/log/zimbra").exists()
    running = Demo()
    try:
        running.start()
        assert len(running.namespaces) >= 4
        yield running
        assert before == (Path("/opt/zimbra").exists(), Path("/var/log/zimbra").exists())
    finally:
        if running.process.poll() is None:
            running.process.terminate()
            running.finish()


def test_every_promise_is_kept_and_nothing_is_left(demo: Demo) -> None:
    assert demo.finish() == 0, demo.output
    assert re.search(r"^sasl +submission +(\d+) +\1 .* 0$", demo.output, re.MULTILINE), demo.output
    assert re.search(r"legitimate clients: (\d+) of \1 logins and deliveries worked", demo.output)
    assert re.search(r"blocked at attempt \d", demo.output)
    assert "\x1b" not in demo.output
    assert re.search(r"the demonstration took \d+ s", demo.output)
    assert demo.remains() == []


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_nothing_is_left_when_it_is_stopped(demo: Demo, how: signal.Signals, code: int) -> None:
    assert any("blocked at attempt" in line for line in demo.lines()), demo.output
    assert demo.remains() != []
    demo.process.send_signal(how)
    assert demo.finish() == code
    deadline = time.monotonic() + 5  # after SIGKILL no process waits for the kernel's cleanup
    while demo.remains() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert demo.remains() == []


def test_a_banned_client_that_has_done_nothing_breaks_a_promise(demo: Demo) -> None:
    target = re.search(r"--target (\d+)", demo.output)
    assert target is not None
    ban = ["ban", "203.0.113.40", "--reason", "test", "--socket", "/run/zmban-demo/control.sock"]
    enter = ["nsenter", "--target", target[1], "--mount", "--net", str(ROOT / ".venv/bin/zmban")]
    done = subprocess.run([*enter, *ban], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert demo.finish() == 1, demo.output
    assert "BROKEN: 203.0.113.40 is banned and has done nothing" in demo.output
