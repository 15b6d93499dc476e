"""Fixture: Prometheus with the shipped configuration and rules, for a healthy host and hosts with faults."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.monitoring.hosts import DECEIVED, HEALTHY, TROUBLED, Host, served
from tests.monitoring.queries import ask

CONFIG = Path(__file__).parents[2] / "config/prometheus/prometheus.yml"
SCRAPES = 8  # enough for every rate, and for three changes of a counter
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Watched:
    """A running Prometheus, and the names of the hosts it watches."""

    url: str
    healthy: str
    troubled: str
    deceived: str
    gone: str


def program(name: str) -> str:
    """The path of a program of the package prometheus; fails if it is missing."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is missing: apt-get install --no-install-recommends prometheus")
    return path


def free_port() -> int:
    """An unused loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def quick_configuration(targets: list[str]) -> str:
    """The shipped prometheus.yml with these targets and an interval of one second."""
    configuration = yaml.safe_load(CONFIG.read_text())
    configuration["global"] |= {
        # Long enough that a busy machine misses no scrape: a missed scrape raises an alert.
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "evaluation_interval": "1s",
    }
    configuration["rule_files"] = [str(CONFIG.parent / files) for files in configuration["rule_files"]]
    (job,) = configuration["scrape_configs"]
    job["static_configs"] = [{"targets": targets}]
    return yaml.safe_dump(configuration)


def wait_for_scrapes(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until every running host has been scraped often enough and the rules have been evaluated."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
                rich = ask(url, "query", query=f"count_over_time(zmban_enforced[1h]) >= {SCRAPES}")["result"]
            if len(rich) == 3:
                return
        except (urllib.error.URLError, ConnectionError, AssertionError):
            pass  # not started yet
        time.sleep(0.1)
    pytest.fail(f"Prometheus did not scrape in {PATIENCE} s: {log.read_text()}")


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Prometheus with one healthy host, two hosts with faults and one that is down."""
    place = tmp_path_factory.mktemp("prometheus")
    listen = f"127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        healthy, troubled, deceived = (
            stack.enter_context(served(Host(condition))) for condition in (HEALTHY, TROUBLED, DECEIVED)
        )
        gone = f"127.0.0.1:{free_port()}"
        (place / "prometheus.yml").write_text(quick_configuration([healthy, troubled, deceived, gone]))
        command = [
            program("prometheus"),
            f"--config.file={place / 'prometheus.yml'}",
            f"--storage.tsdb.path={place / 'data'}",
            f"--web.listen-address={listen}",
            "--log.level=warn",
        ]
        log = stack.enter_context((place / "log").open("wb"))
        process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
        try:
            wait_for_scrapes(f"http://{listen}", process, place / "log")
            yield Watched(f"http://{listen}", healthy, troubled, deceived, gone)
        finally:
            process.kill()
