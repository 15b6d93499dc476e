"""The effect of signals on the service, while starting, running and stopping."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.app.running import Running, service, until
from tests.netns import Namespace

ALONE = """
import sys, time
from pathlib import Path
from sidecar.cli import log_format
from sidecar.cli.signals import Signals
log_format.begin(verbose=False)
signals = Signals()
if sys.argv[1] == "late":
    signals.on_stop(lambda: None, 0.3, Path(sys.argv[2]))
print("ready", flush=True)
while True:  # A busy loop.
    sum(range(1000))
"""


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_that_means_nothing_is_told_and_changes_nothing(
    host: Namespace, tmp_path: Path, number: signal.Signals
) -> None:
    with service(tmp_path) as running:
        assert running.process is not None
        for _ in range(3):
            running.process.send_signal(number)
            until(lambda: f"{number.name}: " in running.said())
        running.attack("198.51.100.7")
        until(lambda: running.banned() == {"198.51.100.7/32"})
        assert running.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_stop_is_one_whichever_signal_asks_for_it(
    host: Namespace, tmp_path: Path, number: signal.Signals
) -> None:
    with service(tmp_path) as running:
        assert running.stop(number) == 0
        assert not running.socket.exists()
        assert "stopped; routes kept" in running.said()


def test_who_asks_again_and_again_breaks_no_stop(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        assert running.process is not None
        while running.process.poll() is None:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                running.process.send_signal(number)
            time.sleep(0.001)
        assert running.process.returncode == 0
        assert "stopped" in running.said()
        assert "Traceback" not in running.said()
        assert not running.socket.exists()


@pytest.mark.parametrize("on_stop", ["keep", "flush"])
def test_a_stop_in_any_moment_of_a_start_ends_it_without_a_trace(
    host: Namespace, tmp_path: Path, on_stop: str
) -> None:
    running = Running(tmp_path)
    (tmp_path / "config/zmban.toml").write_text(f'[kernel]\non_stop = "{on_stop}"\n')
    for step in range(10):
        before = len(running.said()) if step else 0
        running.launch()
        time.sleep(0.12 * step)
        code = running.stop()
        # Before Python has started, signals have their default action.
        assert code == 0 or (code == -signal.SIGTERM and len(running.said()) == before), running.said()
        assert not running.socket.exists()
        assert "Traceback" not in running.said()
    if on_stop == "flush":
        assert not host.routes("2520")


def test_a_stop_while_a_long_backlog_is_read_leaves_docker_time(host: Namespace, tmp_path: Path) -> None:
    with service(tmp_path) as running:
        assert running.stop() == 0
        for number in range(100):
            running.attack(f"45.0.0.{number}", times=500)
        with running.log.open("rb+") as log:
            whole = log.read()
            log.write(whole * 3)
        running.launch()
        until(running.socket.exists)
        begun = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - begun < 8, "Docker kills after ten seconds"
        assert not running.socket.exists()
        running.launch()
        until(running.socket.exists)
        until(lambda: len(running.banned()) == 100, 60)
        assert running.stop() == 0


def alone(*arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", ALONE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("when", "word"), [("early", "while starting"), ("late", "stop aborted")])
def test_no_loop_that_never_lets_go_keeps_a_stop_waiting(tmp_path: Path, when: str, word: str) -> None:
    socket = tmp_path / "sock"
    socket.touch()
    process = alone(when, str(socket))
    os.kill(process.pid, signal.SIGHUP)
    os.kill(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert word in said
    assert socket.exists() == (when == "early")
