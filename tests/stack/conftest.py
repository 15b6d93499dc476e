"""Fixture: the compose stack, started once with `make up`, and removed at the end."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
# Long enough for every kind of attack, and for many logins of the legitimate clients.
SECONDS = "40"


def compose_missing(version: str) -> str | None:
    """Why Compose of this version (1 or 2) is not available; None if it is. Fetches version 2 if it is missing."""
    done = subprocess.run(
        ["sh", "scripts/compose.sh", "version", "--short"],
        cwd=ROOT,
        env={**os.environ, "ZMBAN_COMPOSE": version},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        return done.stderr.strip() or f"there is no Compose {version} on this host"
    found = done.stdout.strip().removeprefix("v")
    return None if found.startswith(f"{version}.") else f"this host has Compose {found}, and no {version}"


class Stack:
    """The running demonstration. `first`: output and exit code of `make up`."""

    def __init__(self, **variables: str) -> None:
        self.environment = {**os.environ, "DEMO_SECONDS": SECONDS, **variables}
        self.first = subprocess.run(
            ["sh", "scripts/up.sh"],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
        )

    def container(self, service: str) -> str:
        """The id of the running container of a service."""
        labels = ["label=com.docker.compose.project=zmban", f"label=com.docker.compose.service={service}"]
        filters = [word for label in labels for word in ("--filter", label)]
        return self.run("docker", "ps", "-aq", *filters)

    def run(self, *command: str) -> str:
        """Run a command that must succeed; returns its standard output."""
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout.strip()

    def zmban(self, *arguments: str) -> str:
        """Run a command in the sidecar's container; returns its output."""
        return self.run("docker", "exec", self.container("demo-zmban"), "zmban", *arguments)

    def bans(self) -> dict[str, dict[str, Any]]:
        """The bans by network."""
        records = [json.loads(line) for line in self.zmban("bans", "--jsonl").splitlines()]
        return {record["network"]: record for record in records}

    def knock(self, address: str, times: int, pause: float) -> int:
        """The number of TCP handshakes with the SMTP server that complete from a client's address."""
        done = self.run(
            "docker",
            "exec",
            self.container("demo"),
            "python3",
            "-c",
            "import os, socket, sys, time\n"
            "who, times, pause, made = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), 0\n"
            "place = (os.environ['DEMO_ADDRESS'], int(os.environ['DEMO_SMTP_PORT']))\n"
            "for _ in range(times):\n"
            "    with socket.socket() as client:\n"
            "        client.bind((who, 0)); client.settimeout(pause)\n"
            "        try: client.connect(place); made += 1; time.sleep(pause)\n"
            "        except OSError: pass\n"
            "print(made)",
            address,
            str(times),
            str(pause),
        )
        return int(done)

    def compose(self, *arguments: str) -> str:
        """The output of Compose, of the version that started the demonstration."""
        return self.run("sh", "scripts/compose.sh", "--profile", "demo", *arguments)

    def down(self) -> None:
        """Removes the whole stack, also after an error."""
        subprocess.run(
            ["sh", "scripts/down.sh"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            timeout=300,
            check=False,
        )


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The demonstration after its clients have finished, under Compose 2 if available. It keeps running for the
    tests. Its zmban keeps its routes when it stops, as in production."""
    version = {} if compose_missing("2") else {"ZMBAN_COMPOSE": "2"}
    running = Stack(DEMO_ON_STOP="keep", **version)
    try:
        assert running.first.returncode == 0, running.first.stdout + running.first.stderr
        yield running
    finally:
        running.down()
